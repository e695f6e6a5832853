package reattn

/*
#include "dl.h"
#cgo noescape dl_request_next
#cgo nocallback dl_request_next
#cgo noescape dl_queue_next
#cgo nocallback dl_queue_next
*/
import "C"

import (
	"math"
	"runtime"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"
)

// What calls of the C interface have in common: an error to take over, handles to free, outputs of unknown length.

const (
	statusOK      = C.REATTN_OK
	statusEnd     = C.REATTN_END
	statusTimeout = C.REATTN_TIMEOUT
)

// call calls a function of the library with the place for its error.
func call(f func(err *C.uintptr_t) C.reattn_status) (status C.reattn_status, err error) {
	var raw C.uintptr_t
	status = f(&raw)
	if status < 0 {
		message := C.GoString(C.dl_error_message(raw))
		C.dl_error_free(raw)
		return status, &Error{Code(status), message}
	}
	return status, nil
}

// handle is an object of the library. It is freed by close or, where that was forgotten, when nothing refers to it.
type handle struct {
	number  atomic.Uintptr // 0: closed
	kind    string
	free    func(C.uintptr_t)
	cleanup runtime.Cleanup
}

func newHandle(kind string, free func(C.uintptr_t), number C.uintptr_t) *handle {
	h := &handle{kind: kind, free: free}
	h.number.Store(uintptr(number))
	h.cleanup = runtime.AddCleanup(h, func(number C.uintptr_t) { free(number) }, number)
	return h
}

// create makes a handle of what f writes to its first argument.
func create(kind string, free func(C.uintptr_t), f func(out, err *C.uintptr_t) C.reattn_status) (*handle, error) {
	var number C.uintptr_t
	if _, err := call(func(err *C.uintptr_t) C.reattn_status { return f(&number, err) }); err != nil {
		return nil, err
	}
	return newHandle(kind, free, number), nil
}

// close frees the object, once. A call that is inside the library with it ends as usual.
func (h *handle) close() {
	if h == nil {
		return
	}
	if number := h.number.Swap(0); number != 0 {
		h.cleanup.Stop()
		h.free(C.uintptr_t(number))
	}
}

// get is the object's number; 0 for no object at all. Who uses it keeps h alive meanwhile.
func (h *handle) get() (C.uintptr_t, error) {
	if h == nil {
		return 0, nil
	}
	number := h.number.Load()
	if number == 0 {
		return 0, fail(ErrHandle, "the %s is closed", h.kind)
	}
	return C.uintptr_t(number), nil
}

// call calls a function of the library on the object, which is not collected meanwhile.
func (h *handle) call(f func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status) (C.reattn_status, error) {
	if h == nil {
		return C.REATTN_E_HANDLE, fail(ErrHandle, "the object was never made")
	}
	number, err := h.get()
	if err != nil {
		return C.REATTN_E_HANDLE, err
	}
	defer runtime.KeepAlive(h)
	return call(func(err *C.uintptr_t) C.reattn_status { return f(number, err) })
}

// do is call where success says nothing more.
func (h *handle) do(f func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status) error {
	_, err := h.call(f)
	return err
}

// output is what a function with an output of unknown length writes: with a first guess at the length, and again when that
// was too small.
func output[T any](h *handle, guess int, f func(number C.uintptr_t, buffer *T, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status) ([]T, error) {
	buffer := make([]T, max(guess, 1))
	for {
		var needed C.uint64_t
		status, err := h.call(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
			return f(number, unsafe.SliceData(buffer), C.uint64_t(len(buffer)), &needed, err)
		})
		switch {
		case err == nil:
			return buffer[:needed], nil
		case status == C.REATTN_E_BUFFER:
			buffer = make([]T, needed) // what is asked about may grow, so this may happen again
		default:
			return nil, err
		}
	}
}

// bytesOf are the bytes of a text or path as the library takes them.
func bytesOf(text string) (*C.uint8_t, C.uint64_t) {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.StringData(text))), C.uint64_t(len(text))
}

func idsOf(ids []int32) (*C.int32_t, C.uint64_t) {
	return (*C.int32_t)(unsafe.Pointer(unsafe.SliceData(ids))), C.uint64_t(len(ids))
}

func flag(set bool) C.int32_t {
	if set {
		return 1
	}
	return 0
}

// milliseconds rounds up, so that a short wait is no poll.
func milliseconds(d time.Duration) C.int64_t {
	if d < 0 {
		return -1
	}
	if d > math.MaxInt64-time.Millisecond {
		return math.MaxInt64
	}
	return C.int64_t((d + time.Millisecond - 1) / time.Millisecond)
}

// whole is text that the library promises to be UTF-8.
func whole(text []byte) (string, error) {
	if !utf8.Valid(text) {
		return "", fail(ErrInternal, "a text of the library is not UTF-8")
	}
	return string(text), nil
}
