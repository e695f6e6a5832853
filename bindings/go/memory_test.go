//go:build linux && !race

package reattn_test

import (
	"os"
	"runtime"
	"runtime/debug"
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

// growth runs work often enough to have every cache filled, then n times; it gives how much memory grew.
func growth(t *testing.T, n int, work func()) int {
	for range n / 5 {
		work()
	}
	before := resident(t)
	for range n {
		work()
	}
	return resident(t) - before
}

const maxGrowthKiB = 2048

func TestMemoryStaysFlat(t *testing.T) {
	header := &reattn.ModelOptions{Device: reattn.DeviceCPU, HeaderOnly: true}
	grown := growth(t, 10_000, func() {
		model := must[*reattn.Model](t)(reattn.Open(background, tinyPath(), header))
		if _, err := reattn.Open(background, "no/such/file", header); err == nil {
			t.Fatal("opened a file that is not there")
		}
		check(t, model.Close())
		for range reattn.LogMessages() {
		}
	})
	t.Logf("10,000 models opened and closed: %d KiB more", grown)
	if grown > maxGrowthKiB {
		t.Errorf("10,000 models opened and closed take %d KiB more", grown)
	}

	s := session(t)
	check(t, s.Append(document(t)))
	check(t, s.Read(background, nil))
	snapshot := must[*reattn.Snapshot](t)(s.Snapshot())
	for _, closing := range []bool{true, false} { // closed, and left to the collector
		grown := growth(t, 1_000, func() {
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
		t.Logf("1,000 answers (closed: %v): %d KiB more", closing, grown)
		if grown > maxGrowthKiB {
			t.Errorf("1,000 answers (closed: %v) take %d KiB more", closing, grown)
		}
	}
}
