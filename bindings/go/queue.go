package reattn

/*
#include "dl.h"
*/
import "C"

import (
	"context"
	"io"
	"iter"
	"math"
	"runtime"
	"sync"
	"time"
)

// noTag tells an error of the queue from one of a request: the library writes no tag then.
const noTag = math.MaxUint64

// Queue holds requests of sessions of one model, which generate a token each in one pass over the weights. One goroutine
// pulls at a time (another gets ErrBusy); any may add meanwhile. A request stays its owner's, and leaves the queue when it is
// closed: keep it.
type Queue struct {
	h      *handle
	mutex  sync.Mutex // held while reader is in use
	reader reader
}

// Tagged is an event of the request that was added with Tag, or the error that ended it; the others go on.
type Tagged struct {
	Tag   uint64
	Event Event
	Err   error
}

// NewQueue makes an empty queue.
func (m *Model) NewQueue() (*Queue, error) {
	model, err := m.h.get()
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(m.h)
	free := func(number C.uintptr_t) { C.dl_queue_free(number) }
	h, err := create("queue", free, func(out, err *C.uintptr_t) C.reattn_status {
		return C.dl_queue_create(model, out, err)
	})
	if err != nil {
		return nil, err
	}
	return &Queue{h: h}, nil
}

// Close frees the queue. Requests in it that are not done end. A second call does nothing.
func (q *Queue) Close() error {
	q.h.close()
	return nil
}

// Add makes the request's events come out of this queue, with tag, any number but math.MaxUint64. Working memory is shared
// between requests of equal settings: add each before the next is made.
func (q *Queue) Add(request *Request, tag uint64) error {
	if tag == noTag {
		return fail(ErrArg, "tag is math.MaxUint64, which stands for no request")
	}
	number, err := request.h.get()
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(request.h)
	return q.h.do(func(queue C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_queue_add(queue, number, C.uint64_t(tag), err)
	})
}

// Wait works until the next event of any request, but no longer than about timeout (negative: no limit). io.EOF: no request
// is left, and one may be added again. ErrTimeout: no event yet.
func (q *Queue) Wait(timeout time.Duration) (Tagged, error) {
	if !q.mutex.TryLock() {
		return Tagged{}, fail(ErrBusy, "the queue is being pulled by another goroutine")
	}
	defer q.mutex.Unlock()
	tag := C.uint64_t(noTag)
	event, status, err := q.reader.next(q.h, func(number C.uintptr_t, event *C.reattn_event, buffer *C.uint8_t, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_queue_next(number, milliseconds(timeout), &tag, event, buffer, length, needed, err)
	})
	switch {
	case err != nil && tag == noTag:
		return Tagged{}, err
	case err == nil && status == statusTimeout:
		return Tagged{}, ErrTimeout
	case err == nil && status == statusEnd:
		return Tagged{}, io.EOF
	}
	return Tagged{uint64(tag), event, err}, nil
}

// Next works until the next event of any request. io.EOF: no request is left. When ctx is done, its error is returned within
// about 50 ms; nothing is lost or cancelled then.
func (q *Queue) Next(ctx context.Context) (Tagged, error) {
	if ctx.Done() == nil {
		return q.Wait(-1)
	}
	for {
		if ctx.Err() != nil {
			return Tagged{}, context.Cause(ctx)
		}
		tagged, err := q.Wait(50 * time.Millisecond)
		if err != ErrTimeout {
			return tagged, err
		}
	}
}

// Events pulls until no request is left or ctx is done, whose error comes last then. The errors of requests are in what
// comes; an error beside it is the queue's own.
func (q *Queue) Events(ctx context.Context) iter.Seq2[Tagged, error] {
	return func(yield func(Tagged, error) bool) {
		for {
			tagged, err := q.Next(ctx)
			if err == io.EOF || !yield(tagged, err) || err != nil {
				return
			}
		}
	}
}
