// Command overhead measures what the package costs per token over the C interface: it generates the same with both, in turns.
// The model is made up and as small as can be, so that little but the calls is measured.
//
//	go run ./internal/overhead
package main

/*
#cgo CFLAGS: -I${SRCDIR}/../.. -O2
#include <time.h>
#include "dl.h"

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

static uintptr_t model;

static int open_model(const reattn_geometry* shape) {
  reattn_model_options options;
  if (dl_model_options_init(&options, sizeof options, 0)) return -1;
  options.device = REATTN_DEVICE_CPU;
  options.n_threads = 1;
  if (dl_model_synthesize(shape, &options, &model, 0)) return -1;
  return dl_model_wait(model, -1, 0, 0);
}

// Seconds of generating n tokens; negative where something fails.
static double generate(const int32_t* ids, uint64_t n_ids, int64_t n) {
  uintptr_t session, request;
  reattn_request_options options;
  if (dl_session_create(model, 0, 0, &session, 0) || dl_session_append_ids(session, ids, n_ids, 0, 0) ||
      dl_request_options_init(&options, sizeof options, 0))
    return -1;
  options.max_tokens = n;
  options.ignore_end = 1;
  if (dl_request_create(session, &options, &request, 0)) return -1;
  double start = seconds();
  reattn_event event = {.struct_size = sizeof event};
  uint8_t buf[4096];
  reattn_status status;
  while ((status = dl_request_next(request, -1, &event, buf, sizeof buf, 0, 0)) == REATTN_OK) {}
  double time = seconds() - start;
  dl_request_free(request);
  dl_session_free(session);
  return status == REATTN_END ? time : -1;
}
*/
import "C"

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"
	"unsafe"

	"reattn.org/reattn"
)

const (
	rounds = 400
	tokens = 100
	limit  = 10.0 // microseconds a token
)

func try[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

var prompt = []int32{5, 17, 23, 0}

func generate(model *reattn.Model) time.Duration {
	session := try(model.NewSession(nil))
	defer session.Close()
	if err := session.AppendIDs(prompt); err != nil {
		log.Fatal(err)
	}
	request := try(session.Generate(&reattn.RequestOptions{MaxTokens: tokens, IgnoreEnd: true}))
	defer request.Close()
	start, nBytes := time.Now(), 0
	for event, err := range request.Events(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		nBytes += len(event.Text)
	}
	if nBytes == 0 {
		log.Fatal("nothing was generated")
	}
	return time.Since(start)
}

func main() {
	shape := reattn.Geometry{Layers: 1, Embd: 32, Heads: 1, KVHeads: 1, HeadDim: 32, FF: 32, Vocab: 64, Window: 1024, RopeFreqBase: 10000}
	model := try(reattn.Synthesize(context.Background(), shape, &reattn.ModelOptions{Device: reattn.DeviceCPU, Threads: 1}))
	raw := C.reattn_geometry{struct_size: C.sizeof_reattn_geometry, n_layers: 1, n_embd: 32, n_heads: 1, n_kv_heads: 1,
		head_dim: 32, n_ff: 32, n_vocab: 64, n_window: 1024, rope_freq_base: 10000}
	if C.open_model(&raw) != 0 {
		log.Fatal("no model")
	}
	// In turns, and the best of each: what else the machine does only ever adds.
	byC, byGo := 1e9, 1e9
	for range rounds {
		seconds := float64(C.generate((*C.int32_t)(unsafe.Pointer(&prompt[0])), C.uint64_t(len(prompt)), tokens))
		if seconds < 0 {
			log.Fatal("the C interface failed")
		}
		byC = min(byC, seconds*1e6/tokens)
		byGo = min(byGo, float64(generate(model).Nanoseconds())/1e3/tokens)
	}
	fmt.Printf("C %.2f us a token, Go %.2f; over C %.2f us (best of %d rounds of %d tokens)\n", byC, byGo, byGo-byC, rounds, tokens)
	if byGo-byC > limit {
		os.Exit(1)
	}
}
