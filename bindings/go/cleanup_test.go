package reattn

import (
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"
)

// What was forgotten is freed by the collector.
func TestTheCollectorFreesWhatWasForgotten(t *testing.T) {
	numbers := func() (out []*handle) {
		model, err := Open(context.Background(), os.Getenv("REATTN_TINY_MODEL"), &ModelOptions{Device: DeviceCPU})
		if err != nil {
			t.Fatal(err)
		}
		session, err := model.NewSession(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []*handle{model.h, session.h} {
			copied := &handle{kind: h.kind} // knows the number and keeps nothing alive
			copied.number.Store(h.number.Load())
			out = append(out, copied)
		}
		return out
	}()
	session := &Session{h: numbers[1]}
	model := &Model{h: numbers[0]}
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
		runtime.GC()
		_, ofSession := session.Info()
		_, ofModel := model.Info()
		if errors.Is(ofSession, ErrHandle) && errors.Is(ofModel, ErrHandle) {
			return
		}
	}
	t.Error("a model and a session that nobody knows are still there")
}
