package reattn_test

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reattn.org/reattn"
)

// Many goroutines on one model: each gets what it would get alone, and cancels arrive.

func TestGoroutinesDoNotDisturbEachOther(t *testing.T) {
	model := must[*reattn.Model](t)(reattn.Open(background, tinyPath(), &reattn.ModelOptions{Device: reattn.DeviceCPU, Threads: 2}))
	defer model.Close()
	s := must[*reattn.Session](t)(model.NewSession(small(t)))
	check(t, s.Append(document(t)))
	check(t, s.Read(background, nil))
	snapshot := must[*reattn.Snapshot](t)(s.Snapshot())
	type result struct {
		text  string
		spans []reattn.Span
	}
	ask := func(i int) (r result, err error) {
		session, err := model.Resume(snapshot, nil)
		if err != nil {
			return r, err
		}
		defer session.Close()
		if err := session.Append(fmt.Sprintf("\nWhich ship came %dth? ", i)); err != nil {
			return r, err
		}
		request, err := session.Generate(&reattn.RequestOptions{MaxTokens: int64(4 + i), IgnoreEnd: true})
		if err != nil {
			return r, err
		}
		defer request.Close()
		if r.text, err = request.Text(background); err != nil {
			return r, err
		}
		r.spans, err = request.Recalled(reattn.AllLayers, reattn.Answer)
		return r, err
	}
	var alone []result
	for i := range 8 {
		alone = append(alone, must[result](t)(ask(i)))
	}
	var all sync.WaitGroup
	for i := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 5 {
				if got, err := ask(i); err != nil || !reflect.DeepEqual(got, alone[i]) {
					t.Errorf("%d: %v, %v, not %v", i, got, err, alone[i])
				}
			}
		}()
	}
	all.Wait()
}

func TestOthersLookAndCancelWhileOnePulls(t *testing.T) {
	s := session(t)
	check(t, s.Append(document(t)))
	request := generate(t, s, math.MaxInt64)
	var done atomic.Bool
	var all sync.WaitGroup
	all.Add(1)
	go func() {
		defer all.Done()
		last := int64(0)
		for !done.Load() {
			info, err := s.Info()
			if err != nil || info.Tokens < last {
				t.Errorf("%d tokens after %d: %v", info.Tokens, last, err)
				return
			}
			last = info.Tokens
			ids, err := s.Tokens(0, last)
			if err != nil || int64(len(ids)) != last {
				t.Errorf("%d ids of %d: %v", len(ids), last, err)
			}
			if _, err := request.Stats(); err != nil {
				t.Error(err)
			}
			if _, err := request.Recalled(reattn.AllLayers, reattn.Prompt); err != nil {
				t.Error(err)
			}
			if err := s.Append("x"); err != nil && !errors.Is(err, reattn.ErrBusy) {
				t.Error(err)
			}
			if last > 700 {
				if err := request.Cancel(); err != nil {
					t.Error(err)
				}
			}
		}
	}()
	var last reattn.Event
	for event, err := range request.Events(background) {
		check(t, err)
		last = event
	}
	done.Store(true)
	all.Wait()
	if last.Reason != reattn.DoneCancelled {
		t.Errorf("ended with %v", last)
	}
}

func TestASecondPullerIsRefused(t *testing.T) {
	s := session(t)
	check(t, s.Append("Tea"))
	request := generate(t, s, math.MaxInt64)
	queue := must[*reattn.Queue](t)(tiny().NewQueue())
	check(t, queue.Add(request, 0))
	refused := make(chan bool)
	go func() {
		// Somebody else pulls nearly all the time, so that this is refused soon.
		for end := time.Now().Add(time.Minute); time.Now().Before(end); {
			if _, err := queue.Wait(0); errors.Is(err, reattn.ErrBusy) {
				_ = request.Cancel()
				refused <- true
				return
			}
		}
		_ = request.Cancel()
		refused <- false
	}()
	for {
		_, err := queue.Wait(time.Second)
		if err == nil || err == reattn.ErrTimeout || errors.Is(err, reattn.ErrBusy) {
			continue
		}
		break // io.EOF
	}
	if !<-refused {
		t.Error("nobody was refused")
	}
}

func TestAQueueTakesRequestsWhileItIsPulled(t *testing.T) {
	queue := must[*reattn.Queue](t)(tiny().NewQueue())
	first := session(t)
	check(t, first.Append(document(t)))
	endless := generate(t, first, math.MaxInt64)
	check(t, queue.Add(endless, 0))
	if err := queue.Add(endless, math.MaxUint64); !errors.Is(err, reattn.ErrArg) {
		t.Errorf("the tag without a request gave %v", err)
	}
	var requests []*reattn.Request
	go func() {
		for tag := uint64(1); tag <= 6; tag++ {
			s := session(t)
			if err := s.Append("Tea and oranges"); err != nil {
				t.Error(err)
			}
			request := generate(t, s, 3)
			if err := queue.Add(request, tag); err != nil {
				t.Error(err)
			}
			requests = append(requests, request)
		}
		for _, request := range requests {
			for stats, _ := request.Stats(); !stats.Done; stats, _ = request.Stats() {
				time.Sleep(time.Millisecond)
			}
		}
		_ = endless.Cancel()
	}()
	var texts [7]string
	nDone := 0
	for tagged, err := range queue.Events(background) {
		check(t, err)
		check(t, tagged.Err)
		texts[tagged.Tag] += tagged.Event.Text
		if tagged.Event.Kind == reattn.EventDone {
			nDone++
		}
	}
	for _, text := range texts[1:] {
		if text != "@eq�" {
			t.Errorf("%q", texts)
		}
	}
	if nDone != 7 {
		t.Errorf("%d ended", nDone)
	}
}
