package reattn

/*
#include "dl.h"
*/
import "C"

import (
	"context"
	"errors"
	"io"
	"iter"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// EventKind is what an event tells.
type EventKind int32

// Kinds of events.
const (
	EventPrefill EventKind = C.REATTN_EVENT_PREFILL // another chunk, or several, were read: Done of Total
	EventText    EventKind = C.REATTN_EVENT_TEXT    // another token was generated
	EventDone    EventKind = C.REATTN_EVENT_DONE    // the last event: Reason, and text that was held back
)

// DoneReason is why a request ended.
type DoneReason int32

// Reasons.
const (
	DoneRead      DoneReason = C.REATTN_DONE_READ   // everything is read, and nothing was to be generated
	DoneEnd       DoneReason = C.REATTN_DONE_END    // the model ended its answer
	DoneStop      DoneReason = C.REATTN_DONE_STOP   // a stop text appeared
	DoneLength    DoneReason = C.REATTN_DONE_LENGTH // MaxTokens were generated
	DoneFull      DoneReason = C.REATTN_DONE_FULL   // the session's capacity or, with SelectionFull, the window is reached
	DoneCancelled DoneReason = C.REATTN_DONE_CANCELLED
)

func (r DoneReason) String() string {
	names := [...]string{"", "read", "end", "stop", "length", "full", "cancelled"}
	if r > 0 && int(r) < len(names) {
		return names[r]
	}
	return "unknown"
}

// Event is what a request did.
type Event struct {
	Kind    EventKind
	Done    int64      // prefill, done: tokens of the input that are read
	Total   int64      // prefill, done: tokens of the input
	Token   int32      // text: id of the generated token, else NoToken
	Logprob float32    // text: its log-probability at temperature 1
	Reason  DoneReason // done
	// Text is whole characters; empty while one is not complete, or a stop text might begin.
	Text string
}

// Scope is which part of a request's work to ask about.
type Scope int32

// Scopes.
const (
	LastStep Scope = C.REATTN_RECALLED_LAST_STEP // the last chunk read or token generated
	Prompt   Scope = C.REATTN_RECALLED_PROMPT    // all chunks of the last append that was read
	Answer   Scope = C.REATTN_RECALLED_ANSWER    // all tokens this request generated
)

// AllLayers stands for the sum of all layers.
const AllLayers int64 = C.REATTN_ALL_LAYERS

// Span is a passage that was recalled: the tokens [Begin, End), whose text [Session.Text] gives, and the votes that its
// anchors got.
type Span struct{ Begin, End, Votes int64 }

// RequestStats is what a request has done so far.
type RequestStats struct {
	Done          bool
	PrefillTokens int64 // tokens read
	DecodeTokens  int64 // generated tokens that are in the session's cache
	PrefillTime   time.Duration
	DecodeTime    time.Duration
	FirstToken    time.Duration // from the first pull to the first token; 0 before
}

// Request is reading and generating on one session. It works while it is pulled and not in between. One goroutine pulls at a
// time (another gets ErrBusy); any may cancel, look, and close it.
type Request struct {
	h      *handle
	mutex  sync.Mutex // held while reader is in use
	reader reader
}

func freeRequest(number C.uintptr_t) { C.dl_request_free(number) }

// reader pulls events through one buffer, which grows when a text does not fit.
type reader struct{ buffer []byte }

type pull func(number C.uintptr_t, event *C.reattn_event, buffer *C.uint8_t, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status

// next gives an event when the status is statusOK.
func (r *reader) next(h *handle, f pull) (event Event, status C.reattn_status, err error) {
	if r.buffer == nil {
		r.buffer = make([]byte, 4096)
	}
	for {
		raw := C.reattn_event{struct_size: C.sizeof_reattn_event}
		var needed C.uint64_t
		status, err = h.call(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
			start := (*C.uint8_t)(unsafe.Pointer(&r.buffer[0]))
			return f(number, &raw, start, C.uint64_t(len(r.buffer)), &needed, err)
		})
		if status == C.REATTN_E_BUFFER {
			r.buffer = make([]byte, needed)
			continue // the event was kept
		}
		if err != nil || status != statusOK {
			return event, status, err
		}
		text, err := whole(r.buffer[:raw.text_bytes])
		return Event{
			Kind:    EventKind(raw.kind),
			Done:    int64(raw.n_done),
			Total:   int64(raw.n_total),
			Token:   int32(raw.token),
			Logprob: float32(raw.logprob),
			Reason:  DoneReason(raw.reason),
			Text:    text,
		}, status, err
	}
}

// Close ends the request: a pull that is running is cancelled, what was not read yet is dropped, and the session can be used
// again. A second call does nothing.
func (r *Request) Close() error {
	r.h.close()
	return nil
}

// AddStop ends the answer where text (1 to 1,024 bytes of UTF-8) appears in it, also across tokens; the text itself is not
// delivered. Only before the first event is pulled. [RequestOptions] does the same.
func (r *Request) AddStop(text string) error {
	return r.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		start, length := bytesOf(text)
		return C.dl_request_add_stop(number, start, length, err)
	})
}

// SetJSONSchema makes what is generated one JSON text that schema allows. Only before the first event is pulled, and not with
// IgnoreEnd. [RequestOptions] does the same.
func (r *Request) SetJSONSchema(schema string) error {
	return r.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		start, length := bytesOf(schema)
		return C.dl_request_set_json_schema(number, start, length, err)
	})
}

// ErrTimeout says that there is no event yet; waiting again goes on at the same place.
var ErrTimeout = errors.New("reattn: no event yet")

// Wait works until the next event, but no longer than about timeout (negative: no limit). io.EOF: nothing more will come.
// ErrTimeout: not yet.
func (r *Request) Wait(timeout time.Duration) (Event, error) {
	if !r.mutex.TryLock() {
		return Event{}, fail(ErrBusy, "the request is being pulled by another goroutine")
	}
	defer r.mutex.Unlock()
	event, status, err := r.reader.next(r.h, func(number C.uintptr_t, event *C.reattn_event, buffer *C.uint8_t, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_request_next(number, milliseconds(timeout), event, buffer, length, needed, err)
	})
	switch {
	case err != nil:
		return Event{}, err
	case status == statusTimeout:
		return Event{}, ErrTimeout
	case status == statusEnd:
		return Event{}, io.EOF
	}
	return event, nil
}

// Next works until the next event. io.EOF: nothing more will come. When ctx is done, the request is cancelled: its last event
// comes within 100 ms, with DoneCancelled.
func (r *Request) Next(ctx context.Context) (Event, error) {
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { _ = r.Cancel() })
		defer stop()
	}
	return r.Wait(-1)
}

// Events pulls to the end. An error is the last that comes. When ctx is done, the request is cancelled; after its last event,
// which says DoneCancelled, ctx's error comes. Breaking off leaves the request as it is: pull again, or close it.
func (r *Request) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		stop := context.AfterFunc(ctx, func() { _ = r.Cancel() })
		defer stop()
		for {
			event, err := r.Wait(-1)
			if err == io.EOF {
				return
			}
			if !yield(event, err) || err != nil {
				return
			}
			if event.Kind == EventDone && event.Reason == DoneCancelled && ctx.Err() != nil {
				yield(Event{}, context.Cause(ctx))
				return
			}
		}
	}
}

// Texts pulls to the end as Events does and gives the generated text alone, piece by piece.
func (r *Request) Texts(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for event, err := range r.Events(ctx) {
			if (err != nil || event.Text != "") && !yield(event.Text, err) {
				return
			}
		}
	}
}

// Text works to the end and gives all of the generated text; with an error, what came before it.
func (r *Request) Text(ctx context.Context) (string, error) {
	var out strings.Builder
	for text, err := range r.Texts(ctx) {
		if err != nil {
			return out.String(), err
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

// Cancel makes the request end, with DoneCancelled, within 100 ms; it never waits. The tokens delivered so far stay in the
// session, which can be used at once. It does nothing once the request has ended.
func (r *Request) Cancel() error {
	return r.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_request_cancel(number, err)
	})
}

// Recalled says where from the model drew: the passages recalled in a layer (or AllLayers), most voted first. Passages that
// touch are one, with the sum of their votes.
func (r *Request) Recalled(layer int64, scope Scope) ([]Span, error) {
	raw, err := output(r.h, 64, func(number C.uintptr_t, spans *C.reattn_span, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_request_recalled(number, C.int64_t(layer), C.int32_t(scope), spans, length, needed, err)
	})
	out := make([]Span, len(raw))
	for i, span := range raw {
		out[i] = Span{int64(span.begin), int64(span.end), int64(span.votes)}
	}
	return out, err
}

// Logits are those after the last token that was read or generated, one for each id of the vocabulary.
func (r *Request) Logits() ([]float32, error) {
	return output(r.h, 0, func(number C.uintptr_t, logits *float32, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_request_logits(number, (*C.float)(logits), length, needed, err)
	})
}

// Stats is what the request has done so far.
func (r *Request) Stats() (RequestStats, error) {
	raw := C.reattn_request_stats{struct_size: C.sizeof_reattn_request_stats}
	err := r.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_request_get_stats(number, &raw, err)
	})
	seconds := func(s C.double) time.Duration { return time.Duration(float64(s) * float64(time.Second)) }
	return RequestStats{
		Done:          raw.done != 0,
		PrefillTokens: int64(raw.n_prefill_tokens),
		DecodeTokens:  int64(raw.n_decode_tokens),
		PrefillTime:   seconds(raw.prefill_seconds),
		DecodeTime:    seconds(raw.decode_seconds),
		FirstToken:    seconds(raw.first_token_seconds),
	}, err
}
