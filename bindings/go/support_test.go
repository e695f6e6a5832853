package reattn_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"reattn.org/reattn"
)

// What the tests share: the tiny model, and settings that recall in short texts.

var background = context.Background()

func conformance(name ...string) string {
	return filepath.Join(append([]string{"..", "conformance"}, name...)...)
}

func tinyPath() string {
	path := os.Getenv("REATTN_TINY_MODEL")
	if path == "" {
		panic("REATTN_TINY_MODEL must name the tiny model: reattn_write_model writes it")
	}
	return path
}

// tiny is the tiny model, opened once for the whole test program.
var tiny = sync.OnceValue(func() *reattn.Model {
	model, err := reattn.Open(background, tinyPath(), &reattn.ModelOptions{Device: reattn.DeviceCPU, Threads: 1})
	if err != nil {
		panic(err)
	}
	return model
})

// must fails the test when a call does.
func must[T any](t testing.TB) func(value T, err error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// small has a scope of 104 in a window of 512, so that short texts already have a middle.
func small(t testing.TB) *reattn.SessionOptions {
	options := must[reattn.SessionOptions](t)(tiny().SessionOptions())
	options.Global, options.Local, options.TopK, options.Span = 8, 64, 2, 4
	options.Anchors, options.Chunk, options.KV = 8, 32, reattn.KVF32
	return &options
}

func session(t testing.TB) *reattn.Session {
	return must[*reattn.Session](t)(tiny().NewSession(small(t)))
}

func document(t testing.TB) string {
	return string(must[[]byte](t)(os.ReadFile(conformance("document.txt"))))
}

func generate(t testing.TB, s *reattn.Session, n int64) *reattn.Request {
	return must[*reattn.Request](t)(s.Generate(&reattn.RequestOptions{MaxTokens: n, IgnoreEnd: true}))
}
