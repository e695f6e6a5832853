package reattn

/*
#include "dl.h"
*/
import "C"

import (
	"context"
	"io"
	"runtime"
)

// Session is a text that is read, asked about, and grows: tokens, their cache, and what waits to be read.
//
// What is appended is read by a [Request]. While one is live, methods that change the session fail with ErrBusy; Info, Tokens,
// Text and Logprobs work all the while, from any goroutine.
type Session struct {
	h     *handle
	model *Model
}

// SessionInfo is where a session stands.
type SessionInfo struct {
	PageTokens  int32  // tokens of one cache page
	Tokens      int64  // read: what can be asked about
	Pending     int64  // queued and not yet read; as far as known of an append that goes on
	KVBytes     uint64 // cache memory held, shared pages included
	Pages       int64  // cache pages held
	SharedPages int64  // of these, shared with forks and snapshots
}

func freeSession(number C.uintptr_t) { C.dl_session_free(number) }

// NewSession makes an empty session; nil stands for the published settings for the model's window.
func (m *Model) NewSession(options *SessionOptions) (*Session, error) {
	return m.newSession(nil, options)
}

// Resume makes a session that goes on from a snapshot and shares its memory; nil stands for the settings it was read with.
// Of [Snapshot.SessionOptions], Local, Anchors, TopK, Span, VoteStride and MaxTokens may be changed.
func (m *Model) Resume(snapshot *Snapshot, options *SessionOptions) (*Session, error) {
	return m.newSession(snapshot.h, options)
}

func (m *Model) newSession(snapshot *handle, options *SessionOptions) (*Session, error) {
	model, err := m.h.get()
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(m.h)
	cache, err := snapshot.get()
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(snapshot)
	settings, err := m.orDefaults(options, snapshot)
	if err != nil {
		return nil, err
	}
	h, err := create("session", freeSession, func(out, err *C.uintptr_t) C.reattn_status {
		return C.dl_session_create(model, cache, &settings, out, err)
	})
	if err != nil {
		return nil, err
	}
	return &Session{h, m}, nil
}

// Close frees the session. Requests on it go on. A second call does nothing.
func (s *Session) Close() error {
	s.h.close()
	return nil
}

// Append queues a text, which a request reads later. Append a document and the question about it separately: then only the
// question's tokens vote on what is recalled for it.
func (s *Session) Append(text string) error { return s.AppendWith(text, AppendOptions{}) }

// AppendWith queues a text, or a piece of one, as the options say.
func (s *Session) AppendWith(text string, options AppendOptions) error {
	return s.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		start, length := bytesOf(text)
		return C.dl_session_append_text(number, start, length, options.flags(), err)
	})
}

// AppendReader queues all that r has as one text, without ever holding it whole; it gives the number of bytes. When reading
// fails midway, everything queued is dropped.
func (s *Session) AppendReader(r io.Reader) (n int64, err error) {
	defer func() {
		if err == nil {
			return
		}
		// Half a text is no text. What was read before stays.
		if info, failed := s.Info(); failed == nil {
			_ = s.Truncate(info.Tokens)
		}
	}()
	buffer := make([]byte, 1<<16)
	for {
		got, failed := r.Read(buffer)
		if got > 0 {
			if err := s.AppendWith(string(buffer[:got]), AppendOptions{More: true}); err != nil {
				return n, err
			}
			n += int64(got)
		}
		if failed == io.EOF {
			return n, s.Append("")
		}
		if failed != nil {
			return n, failed
		}
	}
}

// AppendIDs queues token ids, each inside the vocabulary.
func (s *Session) AppendIDs(ids []int32) error { return s.AppendIDsWith(ids, AppendOptions{}) }

// AppendIDsWith queues token ids, or a piece of them, as the options say.
func (s *Session) AppendIDsWith(ids []int32, options AppendOptions) error {
	return s.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		start, length := idsOf(ids)
		return C.dl_session_append_ids(number, start, length, options.flags(), err)
	})
}

// AppendChat queues a conversation in the words of the model's chat template. With prompt it ends with what makes the model
// answer. The session's model must not be closed.
func (s *Session) AppendChat(messages []Message, prompt bool) error {
	ids, err := s.model.TokenizeChat(messages, prompt)
	if err != nil {
		return err
	}
	return s.AppendIDs(ids)
}

// Info is where the session stands.
func (s *Session) Info() (SessionInfo, error) {
	raw := C.reattn_session_info{struct_size: C.sizeof_reattn_session_info}
	err := s.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_session_get_info(number, &raw, err)
	})
	return SessionInfo{
		PageTokens:  int32(raw.page_tokens),
		Tokens:      int64(raw.n_tokens),
		Pending:     int64(raw.n_pending),
		KVBytes:     uint64(raw.kv_bytes),
		Pages:       int64(raw.n_pages),
		SharedPages: int64(raw.n_shared_pages),
	}, err
}

// length is how long an answer about [begin, end) may be, as a first guess. A range that the library will refuse is no reason
// to allocate.
func length(begin, end int64) int {
	if begin < 0 || end < begin {
		return 0
	}
	return int(min(end-begin, 1<<20))
}

// Tokens are the ids of the tokens [begin, end) that were read.
func (s *Session) Tokens(begin, end int64) ([]int32, error) {
	return output(s.h, length(begin, end), func(number C.uintptr_t, ids *int32, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_session_tokens(number, C.int64_t(begin), C.int64_t(end), (*C.int32_t)(ids), length, needed, err)
	})
}

// Text is their bytes, as [Model.Detokenize].
func (s *Session) Text(begin, end int64) (string, error) {
	text, err := output(s.h, length(begin, end)*5, func(number C.uintptr_t, buffer *byte, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_session_text(number, C.int64_t(begin), C.int64_t(end), (*C.uint8_t)(buffer), length, needed, err)
	})
	return string(text), err
}

// Logprobs are the natural logarithms of each one's probability after everything before it; NaN for the very first token and
// where it was not kept ([AppendOptions]). Generated tokens always have theirs.
func (s *Session) Logprobs(begin, end int64) ([]float32, error) {
	return output(s.h, length(begin, end), func(number C.uintptr_t, values *float32, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_session_logprobs(number, C.int64_t(begin), C.int64_t(end), (*C.float)(values), length, needed, err)
	})
}

// Truncate forgets all tokens from position nTokens on, and everything queued.
func (s *Session) Truncate(nTokens int64) error {
	return s.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_session_truncate(number, C.int64_t(nTokens), err)
	})
}

// derive makes an object out of the session.
func (s *Session) derive(kind string, free func(C.uintptr_t), f func(number C.uintptr_t, out, err *C.uintptr_t) C.reattn_status) (*handle, error) {
	number, err := s.h.get()
	if err != nil {
		return nil, err
	}
	defer runtime.KeepAlive(s.h)
	return create(kind, free, func(out, err *C.uintptr_t) C.reattn_status { return f(number, out, err) })
}

// Fork makes a second session with the same tokens and settings; cache pages are shared until either writes to them.
func (s *Session) Fork() (*Session, error) {
	h, err := s.derive("session", freeSession, func(number C.uintptr_t, out, err *C.uintptr_t) C.reattn_status {
		return C.dl_session_fork(number, out, err)
	})
	if err != nil {
		return nil, err
	}
	return &Session{h, s.model}, nil
}

// Snapshot keeps the session's tokens, cache and settings, sharing its memory; the session may go on afterwards.
func (s *Session) Snapshot() (*Snapshot, error) {
	h, err := s.derive("snapshot", freeSnapshot, func(number C.uintptr_t, out, err *C.uintptr_t) C.reattn_status {
		return C.dl_cache_snapshot(number, out, err)
	})
	if err != nil {
		return nil, err
	}
	return &Snapshot{h, s.model}, nil
}

// Generate makes a request to read what is queued and then to generate; nil only reads. It does nothing until it is pulled,
// and keeps the session's contents alive. Close it; until it has ended, the session is busy. When a stop text is refused,
// what was queued is dropped with it.
func (s *Session) Generate(options *RequestOptions) (*Request, error) {
	if options == nil {
		options = &RequestOptions{}
	}
	raw := options.raw()
	h, err := s.derive("request", freeRequest, func(number C.uintptr_t, out, err *C.uintptr_t) C.reattn_status {
		return C.dl_request_create(number, &raw, out, err)
	})
	if err != nil {
		return nil, err
	}
	request := &Request{h: h}
	for _, stop := range options.Stop {
		if err := request.AddStop(stop); err != nil {
			h.close()
			return nil, err
		}
	}
	if options.JSONSchema != "" {
		if err := request.SetJSONSchema(options.JSONSchema); err != nil {
			h.close()
			return nil, err
		}
	}
	return request, nil
}

// Read reads what is queued; progress, if any, is called with tokens read and tokens in all. When ctx is done first, what was
// read so far stays, and ctx's error is returned.
func (s *Session) Read(ctx context.Context, progress func(done, total int64)) error {
	request, err := s.Generate(nil)
	if err != nil {
		return err
	}
	defer request.Close()
	for event, err := range request.Events(ctx) {
		if err != nil {
			return err
		}
		if event.Kind == EventPrefill && progress != nil {
			progress(event.Done, event.Total)
		}
	}
	return nil
}
