package reattn

/*
#include "dl.h"
*/
import "C"

import (
	"iter"
	"unsafe"
)

// Device is a kind of device.
type Device int32

// Kinds of devices.
const (
	DeviceAuto Device = C.REATTN_DEVICE_AUTO // the fastest that can be used; the choice goes to the log
	DeviceCPU  Device = C.REATTN_DEVICE_CPU
	DeviceCUDA Device = C.REATTN_DEVICE_CUDA // ErrNoDevice with the reason where it cannot be used
)

func (d Device) String() string {
	switch d {
	case DeviceAuto:
		return "auto"
	case DeviceCPU:
		return "cpu"
	case DeviceCUDA:
		return "cuda"
	}
	return "unknown"
}

// DeviceInfo describes a device that models can be opened on.
type DeviceInfo struct {
	Device       Device
	Index        int32  // which of its kind, from 0
	MemoryTotal  uint64 // bytes
	MemoryFree   uint64 // bytes that could be allocated now
	Threads      int32  // what Threads 0 means for a model; 0 for a GPU
	Name         string // as the machine calls it
	Instructions string // what the kernels use, e.g. "AVX2"
}

// Devices describes all that models can be opened on: the CPU, then the GPUs.
func Devices() ([]DeviceInfo, error) {
	if err := load(); err != nil {
		return nil, err
	}
	var count C.int32_t
	if _, err := call(func(err *C.uintptr_t) C.reattn_status { return C.dl_device_count(&count, err) }); err != nil {
		return nil, err
	}
	var out []DeviceInfo
	for index := C.int32_t(0); index < count; index++ {
		raw := C.reattn_device_info{struct_size: C.sizeof_reattn_device_info}
		_, err := call(func(err *C.uintptr_t) C.reattn_status { return C.dl_device_get_info(index, &raw, err) })
		if err != nil {
			return nil, err
		}
		out = append(out, DeviceInfo{
			Device:       Device(raw.kind),
			Index:        int32(raw.index),
			MemoryTotal:  uint64(raw.memory_total),
			MemoryFree:   uint64(raw.memory_free),
			Threads:      int32(raw.n_threads),
			Name:         C.GoString(&raw.name[0]),
			Instructions: C.GoString(&raw.instructions[0]),
		})
	}
	return out, nil
}

// Diagnose says what models can be opened on, and why not on the rest, as text for people.
func Diagnose() (string, error) {
	if err := load(); err != nil {
		return "", err
	}
	buffer := make([]byte, 4096)
	for {
		var needed C.uint64_t
		status, err := call(func(err *C.uintptr_t) C.reattn_status {
			start := (*C.uint8_t)(unsafe.Pointer(&buffer[0]))
			return C.dl_backend_diagnose(start, C.uint64_t(len(buffer)), &needed, err)
		})
		if err == nil {
			return string(buffer[:needed]), nil
		}
		if status != C.REATTN_E_BUFFER {
			return "", err
		}
		buffer = make([]byte, needed)
	}
}

// LoadBackend opens the CUDA plug-in at path. Without this call the one beside the library is opened when a device is first
// asked for.
func LoadBackend(path string) error {
	if err := load(); err != nil {
		return err
	}
	_, err := call(func(err *C.uintptr_t) C.reattn_status {
		start, length := bytesOf(path)
		return C.dl_backend_load(start, length, err)
	})
	return err
}

// LogMessage is what the library decided on its own, such as "device AUTO chose CPU: ...".
type LogMessage struct {
	Sequence uint64 // 1, 2, 3, ... in this process; a gap: that many messages were overwritten unread
	Text     string // one line
}

// LogMessages are the messages that nobody has read yet, oldest first. The library keeps the last 256 of the process, hands
// each out once, and never prints.
func LogMessages() iter.Seq[LogMessage] {
	return func(yield func(LogMessage) bool) {
		if load() != nil {
			return // no library, no messages
		}
		buffer := make([]byte, 1024)
		for {
			raw := C.reattn_log_event{struct_size: C.sizeof_reattn_log_event}
			var needed C.uint64_t
			status, err := call(func(err *C.uintptr_t) C.reattn_status {
				start := (*C.uint8_t)(unsafe.Pointer(&buffer[0]))
				return C.dl_log_next(&raw, start, C.uint64_t(len(buffer)), &needed, err)
			})
			switch {
			case status == C.REATTN_E_BUFFER:
				buffer = make([]byte, needed)
			case err != nil || status == statusEnd:
				return
			case !yield(LogMessage{uint64(raw.sequence), string(buffer[:raw.text_bytes])}):
				return
			}
		}
	}
}
