package reattn

/*
#include "dl.h"
*/
import "C"

import (
	"context"
	"encoding/json"
	"runtime"
	"strings"
	"unicode/utf8"
	"unsafe"
)

// Model is a model, loaded. Any number of goroutines may use one at once. It lives as long as anything made from it, so it
// may be closed whenever it is not needed by name.
type Model struct{ h *handle }

// LoadProgress is how far loading is.
type LoadProgress struct {
	Finished   bool   // the model is ready
	BytesDone  uint64 // of the file, read and checked
	BytesTotal uint64 // 0 while not known
}

// NoToken stands for a special token that a model does not have.
const NoToken int32 = -1

// ModelInfo is what a model says of itself.
type ModelInfo struct {
	Device               Device // it was opened on this, never DeviceAuto
	Layers               int64
	Embd                 int64 // width of the residual stream
	Heads                int64 // query heads
	KVHeads              int64 // key and value heads
	HeadDim              int64
	FF                   int64  // width of the feed-forward layer
	Vocab                int64  // token ids are 0 to Vocab-1
	Window               int64  // tokens of the trained window
	WeightsBytes         uint64 // as held in memory
	ModelFingerprint     uint64 // of header and tensors; 0 with HeaderOnly
	TokenizerFingerprint uint64 // likewise
	RopeFreqBase         float64
	NormEps              float64
	BOS, EOS, EOT        int32 // special tokens, or NoToken
	Unk, Pad             int32
	AddBOS               bool // the model expects BOS first; the library never adds it by itself
	AddEOS               bool
	HasChatTemplate      bool
	TiedEmbeddings       bool
	HeaderOnly           bool
	Weights              Weights // it was opened with these
}

// MemoryPlan is what holding a session would take.
type MemoryPlan struct {
	Fits         bool   // what is still to be allocated fits into MemoryFree
	WeightsBytes uint64 // as held
	KVBytes      uint64 // the cache
	WorkingBytes uint64 // activations and scratch of a session's largest step; an upper bound
	TotalBytes   uint64 // the sum
	MemoryFree   uint64 // of the device, now
}

// MetadataEntry is a key of a file's metadata and its value as readable text, in which long ones are cut.
type MetadataEntry struct{ Key, Value string }

// Message is a message of a conversation. Special tokens in its content are text like any other.
type Message struct {
	Role    string `json:"role"` // "system", "user" or "assistant", or what else the model's template knows
	Content string `json:"content"`
}

// Open opens a model, a GGUF file or a folder as Hugging Face's library saves it, and waits until it is loaded. When ctx
// is done first, loading is cancelled and ctx's error returned.
func Open(ctx context.Context, path string, options *ModelOptions) (*Model, error) {
	raw := options.raw()
	return await(ctx, options, func(out, err *C.uintptr_t) C.reattn_status {
		start, length := bytesOf(path)
		return C.dl_model_open(start, length, &raw, out, err)
	})
}

// Synthesize makes a model of random weights, for measuring speed and memory of sizes that are not at hand. What it
// generates means nothing.
func Synthesize(ctx context.Context, geometry Geometry, options *ModelOptions) (*Model, error) {
	raw, shape := options.raw(), geometry.raw()
	return await(ctx, options, func(out, err *C.uintptr_t) C.reattn_status {
		return C.dl_model_synthesize(&shape, &raw, out, err)
	})
}

// await waits for what start begins.
func await(ctx context.Context, options *ModelOptions, start func(out, err *C.uintptr_t) C.reattn_status) (*Model, error) {
	if err := load(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	h, err := create("model", func(number C.uintptr_t) { C.dl_model_free(number) }, start)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() {
		_ = h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
			return C.dl_model_cancel_load(number, err)
		})
	})
	defer stop()
	timeout := C.int64_t(-1)
	if options != nil && options.Progress != nil {
		timeout = 100
	}
	for {
		raw := C.reattn_load_progress{struct_size: C.sizeof_reattn_load_progress}
		status, err := h.call(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
			return C.dl_model_wait(number, timeout, &raw, err)
		})
		if err != nil {
			h.close()
			if cancelled := ctx.Err(); cancelled != nil {
				err = cancelled
			}
			return nil, err
		}
		if options != nil && options.Progress != nil {
			options.Progress(LoadProgress{status == statusOK, uint64(raw.bytes_done), uint64(raw.bytes_total)})
		}
		if status == statusOK {
			return &Model{h}, nil
		}
	}
}

// Close frees the model. What was made from it goes on. A second call does nothing.
func (m *Model) Close() error {
	m.h.close()
	return nil
}

func (m *Model) rawInfo() (C.reattn_model_info, error) {
	raw := C.reattn_model_info{struct_size: C.sizeof_reattn_model_info}
	err := m.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_model_get_info(number, &raw, err)
	})
	return raw, err
}

// Info is what the model says of itself.
func (m *Model) Info() (ModelInfo, error) {
	raw, err := m.rawInfo()
	if err != nil {
		return ModelInfo{}, err
	}
	return ModelInfo{
		Device:               Device(raw.device),
		Layers:               int64(raw.n_layers),
		Embd:                 int64(raw.n_embd),
		Heads:                int64(raw.n_heads),
		KVHeads:              int64(raw.n_kv_heads),
		HeadDim:              int64(raw.head_dim),
		FF:                   int64(raw.n_ff),
		Vocab:                int64(raw.n_vocab),
		Window:               int64(raw.n_window),
		WeightsBytes:         uint64(raw.weights_bytes),
		ModelFingerprint:     uint64(raw.model_fingerprint),
		TokenizerFingerprint: uint64(raw.tokenizer_fingerprint),
		RopeFreqBase:         float64(raw.rope_freq_base),
		NormEps:              float64(raw.norm_eps),
		BOS:                  int32(raw.bos_token),
		EOS:                  int32(raw.eos_token),
		EOT:                  int32(raw.eot_token),
		Unk:                  int32(raw.unk_token),
		Pad:                  int32(raw.pad_token),
		AddBOS:               raw.add_bos != 0,
		AddEOS:               raw.add_eos != 0,
		HasChatTemplate:      raw.has_chat_template != 0,
		TiedEmbeddings:       raw.tied_embeddings != 0,
		HeaderOnly:           raw.header_only != 0,
		Weights:              Weights(raw.weights),
	}, nil
}

// Metadata is the file's metadata in its order.
func (m *Model) Metadata() ([]MetadataEntry, error) {
	raw, err := m.rawInfo()
	if err != nil {
		return nil, err
	}
	out := make([]MetadataEntry, 0, raw.n_metadata)
	key, value := make([]byte, 256), make([]byte, 4096)
	for index := C.int64_t(0); index < raw.n_metadata; {
		var nKey, nValue C.uint64_t
		status, err := m.h.call(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
			return C.dl_model_metadata(number, index, (*C.uint8_t)(unsafe.Pointer(&key[0])), C.uint64_t(len(key)), &nKey,
				(*C.uint8_t)(unsafe.Pointer(&value[0])), C.uint64_t(len(value)), &nValue, err)
		})
		switch {
		case err == nil:
			entry := MetadataEntry{string(key[:nKey]), string(value[:nValue])}
			out = append(out, entry)
			index++
		case status == C.REATTN_E_BUFFER:
			key, value = make([]byte, max(nKey, 1)), make([]byte, max(nValue, 1))
		default:
			return nil, err
		}
	}
	return out, nil
}

// SessionOptions are the published settings for the model's window, to start from.
func (m *Model) SessionOptions() (SessionOptions, error) { return m.sessionOptions(nil) }

func (m *Model) sessionOptions(snapshot *handle) (SessionOptions, error) {
	cache, err := snapshot.get()
	if err != nil {
		return SessionOptions{}, err
	}
	defer runtime.KeepAlive(snapshot)
	var raw C.reattn_session_options
	err = m.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_session_options_init(number, cache, &raw, C.sizeof_reattn_session_options, err)
	})
	return sessionOptions(&raw), err
}

// Estimate is what holding a session of that many tokens would take; nil stands for the default options. A model opened
// HeaderOnly can tell too.
func (m *Model) Estimate(options *SessionOptions, nTokens int64) (MemoryPlan, error) {
	raw := C.reattn_memory_plan{struct_size: C.sizeof_reattn_memory_plan}
	settings, err := m.orDefaults(options, nil)
	if err != nil {
		return MemoryPlan{}, err
	}
	err = m.h.do(func(number C.uintptr_t, err *C.uintptr_t) C.reattn_status {
		return C.dl_model_estimate(number, &settings, C.int64_t(nTokens), &raw, err)
	})
	return MemoryPlan{
		Fits:         raw.fits != 0,
		WeightsBytes: uint64(raw.weights_bytes),
		KVBytes:      uint64(raw.kv_bytes),
		WorkingBytes: uint64(raw.working_bytes),
		TotalBytes:   uint64(raw.total_bytes),
		MemoryFree:   uint64(raw.memory_free),
	}, err
}

func (m *Model) orDefaults(options *SessionOptions, snapshot *handle) (C.reattn_session_options, error) {
	if options != nil {
		return options.raw(), nil
	}
	defaults, err := m.sessionOptions(snapshot)
	return defaults.raw(), err
}

func (m *Model) tokenize(text string, special C.int32_t) ([]int32, error) {
	ids, err := output(m.h, len(text)/3+16, func(number C.uintptr_t, ids *int32, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		start, nBytes := bytesOf(text)
		return C.dl_text_tokenize(number, start, nBytes, special, (*C.int32_t)(ids), length, needed, err)
	})
	return ids, err
}

// Tokenize gives the token ids of a text. What looks like a special token stays text, as text from a user should; no begin-
// or end-of-text token is added.
func (m *Model) Tokenize(text string) ([]int32, error) { return m.tokenize(text, 0) }

// TokenizeSpecial gives the token ids of a text in which special tokens, such as <|im_end|>, become their ids.
func (m *Model) TokenizeSpecial(text string) ([]int32, error) { return m.tokenize(text, 1) }

// Detokenize gives the bytes that ids stand for. A range of tokens may begin or end inside a character, so this need not be
// whole UTF-8.
func (m *Model) Detokenize(ids []int32) (string, error) {
	text, err := output(m.h, len(ids)*6+16, func(number C.uintptr_t, buffer *byte, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		start, n := idsOf(ids)
		return C.dl_text_detokenize(number, start, n, (*C.uint8_t)(buffer), length, needed, err)
	})
	return string(text), err
}

// messagesJSON are the messages as the library takes them.
func messagesJSON(messages []Message) (string, error) {
	for i, message := range messages {
		// The encoder would replace what is no UTF-8.
		if !utf8.ValidString(message.Role) || !utf8.ValidString(message.Content) {
			return "", fail(ErrArg, "messages[%d] is not UTF-8", i)
		}
	}
	if messages == nil {
		messages = []Message{}
	}
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(messages); err != nil {
		return "", fail(ErrArg, "messages: %v", err)
	}
	return out.String(), nil
}

// RenderChat gives a conversation in the words of the model's chat template, for looking at. With prompt it ends with what
// makes the model answer.
func (m *Model) RenderChat(messages []Message, prompt bool) (string, error) {
	text, err := messagesJSON(messages)
	if err != nil {
		return "", err
	}
	return m.RenderChatJSON(text, prompt)
}

// RenderChatJSON is RenderChat for JSON: an array of messages, or an object with that array as "messages" and with "tools" and
// other variables of the template.
func (m *Model) RenderChatJSON(messages string, prompt bool) (string, error) {
	text, err := output(m.h, len(messages)+256, func(number C.uintptr_t, buffer *byte, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		start, n := bytesOf(messages)
		return C.dl_chat_render(number, start, n, flag(prompt), (*C.uint8_t)(buffer), length, needed, err)
	})
	return string(text), err
}

// TokenizeChat gives the token ids of a conversation, for [Session.AppendIDs]. Special tokens match in the template's own
// words only: a message's content cannot forge them.
func (m *Model) TokenizeChat(messages []Message, prompt bool) ([]int32, error) {
	text, err := messagesJSON(messages)
	if err != nil {
		return nil, err
	}
	return m.TokenizeChatJSON(text, prompt)
}

// TokenizeChatJSON is TokenizeChat for JSON, as RenderChatJSON.
func (m *Model) TokenizeChatJSON(messages string, prompt bool) ([]int32, error) {
	return output(m.h, len(messages)/3+64, func(number C.uintptr_t, ids *int32, length C.uint64_t, needed *C.uint64_t, err *C.uintptr_t) C.reattn_status {
		start, n := bytesOf(messages)
		return C.dl_chat_tokenize(number, start, n, flag(prompt), (*C.int32_t)(ids), length, needed, err)
	})
}
