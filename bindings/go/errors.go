package reattn

/*
#include "dl.h"
*/
import "C"

import "fmt"

// Code is what kind of thing went wrong. It is an error itself, for errors.Is(err, reattn.ErrBusy).
type Code int32

// The codes of the C interface.
const (
	ErrArg         Code = C.REATTN_E_ARG         // an argument is out of its range
	ErrHandle      Code = C.REATTN_E_HANDLE      // the object is closed
	ErrBusy        Code = C.REATTN_E_BUSY        // another call, a live request or the loading uses the object
	ErrCancelled   Code = C.REATTN_E_CANCELLED   // cancelled by the caller
	ErrNoDevice    Code = C.REATTN_E_NO_DEVICE   // no such device, or it cannot be used; the message says why
	ErrDeviceLost  Code = C.REATTN_E_DEVICE_LOST // the device failed for good
	ErrOOMHost     Code = C.REATTN_E_OOM_HOST    // host memory cannot hold it
	ErrOOMDevice   Code = C.REATTN_E_OOM_DEVICE  // device memory cannot hold it
	ErrFormat      Code = C.REATTN_E_FORMAT      // a file's content is not what its format says
	ErrMismatch    Code = C.REATTN_E_MISMATCH    // a snapshot of another model, tokenizer or layout
	ErrBuffer      Code = C.REATTN_E_BUFFER      // a buffer is too small; this package enlarges its own
	ErrUnsupported Code = C.REATTN_E_UNSUPPORTED // valid, but this build cannot do it
	ErrInternal    Code = C.REATTN_E_INTERNAL    // a fault of the library
	ErrIO          Code = C.REATTN_E_IO          // the operating system refused to read or write
)

var codeNames = map[Code]string{
	ErrArg: "E_ARG", ErrHandle: "E_HANDLE", ErrBusy: "E_BUSY", ErrCancelled: "E_CANCELLED",
	ErrNoDevice: "E_NO_DEVICE", ErrDeviceLost: "E_DEVICE_LOST", ErrOOMHost: "E_OOM_HOST",
	ErrOOMDevice: "E_OOM_DEVICE", ErrFormat: "E_FORMAT", ErrMismatch: "E_MISMATCH",
	ErrBuffer: "E_BUFFER", ErrUnsupported: "E_UNSUPPORTED", ErrInternal: "E_INTERNAL", ErrIO: "E_IO",
}

// String is the name that the C interface has for it, such as "E_FORMAT".
func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return fmt.Sprintf("status %d", int32(c))
}

func (c Code) Error() string { return "reattn: " + c.String() }

// Error is what went wrong. Its message names the file, field or argument and the numbers.
type Error struct {
	Code    Code
	Message string
}

func (e *Error) Error() string { return fmt.Sprintf("reattn: %s (%s)", e.Message, e.Code) }

// Is makes errors.Is(err, reattn.ErrBusy) true for errors with that code.
func (e *Error) Is(target error) bool {
	code, ok := target.(Code)
	return ok && code == e.Code
}

func fail(code Code, format string, args ...any) error {
	return &Error{code, fmt.Sprintf(format, args...)}
}
