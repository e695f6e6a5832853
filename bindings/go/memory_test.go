//go:build linux && !race

package reattn_test

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"

	"reattn.org/reattn"
)

// resident is the memory of this process that is in RAM, in KiB, without what Go would collect.
func resident(t *testing.T) int {
	runtime.GC()
	debug.FreeOSMemory()
	fields := strings.Fields(string(must[[]byte](t)(os.ReadFile("/proc/self/statm"))))
	return must[int](t)(strconv.Atoi(fields[1])) * 4
}

const (
	rounds   = 5
	limitKiB = 400
)

// rests runs work often enough to have every cache filled, then n times, and checks that memory rests: what is lost is lost in
// every round, while the runtime and the allocator take what they keep, as for a new thread, at any time. More rounds come
// where they do so in each.
func rests(t *testing.T, what string, n int, work func()) {
	for range n / rounds {
		work()
	}
	var grown []int
	for len(grown) < rounds || len(grown) < 4*rounds && slices.Min(grown) > limitKiB {
		before := resident(t)
		for range n / rounds {
			work()
		}
		grown = append(grown, resident(t)-before)
	}
	t.Logf("%s: %d KiB more, by round of %d", what, grown, n/rounds)
	if slices.Min(grown) > limitKiB {
		t.Errorf("%s: memory grows in every round", what)
	}
}

func TestMemoryStaysFlat(t *testing.T) {
	options := &reattn.ModelOptions{Device: reattn.DeviceCPU, Threads: 1}
	rests(t, "models and sessions opened and closed", 10_000, func() {
		model := must[*reattn.Model](t)(reattn.Open(background, tinyPath(), options))
		s := must[*reattn.Session](t)(model.NewSession(nil))
		check(t, s.Append("Tea"))
		if _, err := reattn.Open(background, "no/such/file", options); err == nil {
			t.Fatal("opened a file that is not there")
		}
		check(t, s.Close())
		check(t, model.Close())
		for range reattn.LogMessages() {
		}
	})

	s := session(t)
	check(t, s.Append(document(t)))
	check(t, s.Read(background, nil))
	snapshot := must[*reattn.Snapshot](t)(s.Snapshot())
	for _, closing := range []bool{true, false} { // closed, and left to the collector
		rests(t, fmt.Sprintf("answers (closed: %v)", closing), 1_000, func() {
			s := must[*reattn.Session](t)(tiny().Resume(snapshot, nil))
			fork := must[*reattn.Session](t)(s.Fork())
			check(t, fork.Append("never read"))
			check(t, s.Append("\nWhich ship? "))
			request := generate(t, s, 4)
			must[string](t)(request.Text(background))
			must[[]reattn.Span](t)(request.Recalled(reattn.AllLayers, reattn.Answer))
			if closing {
				check(t, request.Close())
				check(t, s.Close())
				check(t, fork.Close())
			} else {
				runtime.GC()
			}
		})
	}
}
