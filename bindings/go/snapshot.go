package reattn

/*
#include "dl.h"
*/
import "C"

import "runtime"

// Snapshot is a session as it was: tokens, cache, last logits and settings. It never changes; any number of goroutines may
// use it at once, and any number of sessions go on from it ([Model.Resume]).
type Snapshot struct {
	h     *handle
	model *Model
}

// SnapshotInfo is what a snapshot holds.
type SnapshotInfo struct {
	HasLogits            bool // generation can start from it without reading anything first
	Tokens               int64
	KVBytes              uint64 // cache memory it holds, shared pages included
	ModelFingerprint     uint64 // as in ModelInfo
	TokenizerFingerprint uint64
}

func freeSnapshot(number C.uintptr_t) { C.dl_cache_free(number) }

// OpenSnapshot reads a saved snapshot of this very model; every byte is checked before it is used.
func (m *Model) OpenSnapshot(path string) (*Snapshot, error) {
	model, err := m.h.get()
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(m.h)
	h, err := create("snapshot", freeSnapshot, func(out, err *C.uintptr_t) C.reattn_status {
		start, length := bytesOf(path)
		return C.dl_cache_open(model, start, length, out, err)
	})
	if err != nil {
		return nil, err
	}
	return &Snapshot{h, m}, nil
}

// Close frees the snapshot. Sessions made from it go on. A second call does nothing.
func (s *Snapshot) Close() error {
	s.h.close()
	return nil
}

// Save writes it to a file, which appears whole or, after an error, not at all. About as large as KVBytes.
func (s *Snapshot) Save(path string) error {
	return s.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		start, length := bytesOf(path)
		return C.dl_cache_save(number, start, length, err)
	})
}

// Info is what the snapshot holds.
func (s *Snapshot) Info() (SnapshotInfo, error) {
	raw := C.reattn_cache_info{struct_size: C.sizeof_reattn_cache_info}
	err := s.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_cache_get_info(number, &raw, err)
	})
	return SnapshotInfo{
		HasLogits:            raw.has_logits != 0,
		Tokens:               int64(raw.n_tokens),
		KVBytes:              uint64(raw.kv_bytes),
		ModelFingerprint:     uint64(raw.model_fingerprint),
		TokenizerFingerprint: uint64(raw.tokenizer_fingerprint),
	}, err
}

// SessionOptions are the settings it was read with. The snapshot's model must not be closed.
func (s *Snapshot) SessionOptions() (SessionOptions, error) { return s.model.sessionOptions(s.h) }
