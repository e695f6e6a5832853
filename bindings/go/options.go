package reattn

/*
#include "dl.h"
*/
import "C"

// Options have the fields of reattn.h, each with the meaning and the bounds given there. Values out of range are refused by
// the call that takes the options, naming field and bound.

// Weights is what a model's weights are held in.
type Weights int32

// Kinds of weights.
const (
	// WeightsAuto is as the device multiplies them best: in BF16 on a GPU, as the file has them on the CPU.
	WeightsAuto Weights = C.REATTN_WEIGHTS_AUTO
	// WeightsFP8 holds the layers' matrices in 8 bits, made while loading, where the device has that: about half of BF16, and
	// faster; answers differ a little.
	WeightsFP8 Weights = C.REATTN_WEIGHTS_FP8
)

// ModelOptions say how to open a model; the zero value and nil are the defaults.
type ModelOptions struct {
	Device      Device
	DeviceIndex int32 // which GPU, from 0
	Threads     int32 // of the CPU pool, the caller included; 0: as many as the process may use
	Weights     Weights
	// HeaderOnly reads and checks the header alone, no weights and no tokenizer: for Info, Metadata, Estimate and
	// SessionOptions.
	HeaderOnly bool
	// Progress, if any, is called about ten times a second while the model is loading, and once at its end.
	Progress func(LoadProgress)
}

func (o *ModelOptions) raw() C.reattn_model_options {
	if o == nil {
		o = &ModelOptions{}
	}
	return C.reattn_model_options{
		struct_size:  C.sizeof_reattn_model_options,
		device:       C.int32_t(o.Device),
		n_threads:    C.int32_t(o.Threads),
		header_only:  flag(o.HeaderOnly),
		device_index: C.int32_t(o.DeviceIndex),
		weights:      C.int32_t(o.Weights),
	}
}

// Geometry is the shape of a made-up model of the Llama family.
type Geometry struct {
	TiedEmbeddings bool // the output matrix is the embedding table
	Layers         int64
	Embd           int64 // width of the residual stream
	Heads          int64
	KVHeads        int64 // divides Heads
	HeadDim        int64 // even
	FF             int64 // width of the feed-forward layer
	Vocab          int64
	Window         int64
	RopeFreqBase   float64
	Seed           uint64 // the same seed: the same weights
}

func (g *Geometry) raw() C.reattn_geometry {
	return C.reattn_geometry{
		struct_size:     C.sizeof_reattn_geometry,
		tied_embeddings: flag(g.TiedEmbeddings),
		n_layers:        C.int64_t(g.Layers),
		n_embd:          C.int64_t(g.Embd),
		n_heads:         C.int64_t(g.Heads),
		n_kv_heads:      C.int64_t(g.KVHeads),
		head_dim:        C.int64_t(g.HeadDim),
		n_ff:            C.int64_t(g.FF),
		n_vocab:         C.int64_t(g.Vocab),
		n_window:        C.int64_t(g.Window),
		rope_freq_base:  C.double(g.RopeFreqBase),
		seed:            C.uint64_t(g.Seed),
	}
}

// Selection is which positions attention goes to.
type Selection int32

// Selections.
const (
	SelectionFull   Selection = C.REATTN_SELECTION_FULL   // everything; inside the trained window only
	SelectionExact  Selection = C.REATTN_SELECTION_EXACT  // the TopK best positions of each query and head
	SelectionBlock1 Selection = C.REATTN_SELECTION_BLOCK1 // at most one of them from each 128
)

// KVType is what keys and values are kept in.
type KVType int32

// Types of caches.
const (
	KVF32  KVType = C.REATTN_KV_F32
	KVF16  KVType = C.REATTN_KV_F16
	KVBF16 KVType = C.REATTN_KV_BF16 // on a GPU
	KVInt8 KVType = C.REATTN_KV_INT8 // half of F16; with ScoringInt8, where the device has that
)

// Scoring is how positions to recall are found.
type Scoring int32

// Ways of scoring.
const (
	ScoringNative Scoring = C.REATTN_SCORING_NATIVE // keys are compared as the cache holds them
	ScoringInt8   Scoring = C.REATTN_SCORING_INT8   // in int8, where the device has that; faster and close to native
)

// SessionOptions are settings of the method. Start from [Model.SessionOptions], which gives the published ones for the
// model's window.
//
// In every step the model attends to the first Global tokens, to the last Local, and to Span tokens around each of Anchors
// positions in between, which it finds by letting every VoteStride-th new token and every query head vote for its TopK best
// positions.
type SessionOptions struct {
	Selection  Selection
	Global     int64 // at least 0
	Local      int64 // at least Chunk; Global + Anchors * Span + Local fit the trained window
	TopK       int32 // 1 to 16
	Span       int32 // tokens recalled around an anchor, at least 1
	Anchors    int32 // 0: nothing is recalled
	Chunk      int32 // tokens read in one step, at least 1
	VoteStride int32 // at least 1; counted back from the last new token
	KV         KVType
	MaxTokens  int64 // capacity of the session; 0: as much as memory holds
	Scoring    Scoring
}

func (o *SessionOptions) raw() C.reattn_session_options {
	return C.reattn_session_options{
		struct_size: C.sizeof_reattn_session_options,
		selection:   C.int32_t(o.Selection),
		n_global:    C.int64_t(o.Global),
		n_local:     C.int64_t(o.Local),
		top_k:       C.int32_t(o.TopK),
		span:        C.int32_t(o.Span),
		n_anchors:   C.int32_t(o.Anchors),
		chunk:       C.int32_t(o.Chunk),
		vote_stride: C.int32_t(o.VoteStride),
		kv_dtype:    C.int32_t(o.KV),
		max_tokens:  C.int64_t(o.MaxTokens),
		scoring:     C.int32_t(o.Scoring),
	}
}

func sessionOptions(raw *C.reattn_session_options) SessionOptions {
	return SessionOptions{
		Selection:  Selection(raw.selection),
		Global:     int64(raw.n_global),
		Local:      int64(raw.n_local),
		TopK:       int32(raw.top_k),
		Span:       int32(raw.span),
		Anchors:    int32(raw.n_anchors),
		Chunk:      int32(raw.chunk),
		VoteStride: int32(raw.vote_stride),
		KV:         KVType(raw.kv_dtype),
		MaxTokens:  int64(raw.max_tokens),
		Scoring:    Scoring(raw.scoring),
	}
}

// AppendOptions say how to append.
type AppendOptions struct {
	// More: the same append goes on with the next piece, and this one may end inside a character. All pieces have the same
	// other options.
	More     bool
	Special  bool // text only: special tokens in it, such as <|im_end|>, become their ids
	Logprobs bool // keep the log-probability of each of its tokens; costs time
}

func (o AppendOptions) flags() C.int32_t {
	return flag(o.More)*C.REATTN_APPEND_MORE | flag(o.Special)*C.REATTN_APPEND_SPECIAL |
		flag(o.Logprobs)*C.REATTN_APPEND_LOGPROBS
}

// AllTokens as a RepetitionWindow: all tokens of the session.
const AllTokens = -1

// RequestOptions say how to generate; the zero value and nil only read what is queued.
type RequestOptions struct {
	MaxTokens   int64 // to generate at most
	Stop        []string
	IgnoreEnd   bool    // go on past the tokens that end an answer
	Temperature float32 // 0: always the most likely token; the rest below then means nothing
	TopK        int32   // among the TopK most likely; 0: off
	TopP        float32 // among the most likely ones that sum up to TopP; 0 and 1: off
	MinP        float32 // among those at least MinP times as likely as the best; 0: off
	Seed        uint64  // same input, settings and seed: the same tokens
	// Logits of the tokens that are among the session's last RepetitionWindow are divided by RepetitionPenalty where they are
	// positive and multiplied by it where not, also with Temperature 0. 0 and 1: off.
	RepetitionPenalty float32
	RepetitionWindow  int32  // 0: 64
	JSONSchema        string // the answer is one JSON text that it allows; empty: any text
}

func (o *RequestOptions) raw() C.reattn_request_options {
	topP := o.TopP
	if topP == 0 {
		topP = 1
	}
	penalty, window := o.RepetitionPenalty, o.RepetitionWindow
	if penalty == 0 {
		penalty = 1
	}
	switch window {
	case 0:
		window = 64
	case AllTokens:
		window = 0
	}
	return C.reattn_request_options{
		struct_size: C.sizeof_reattn_request_options,
		ignore_end:  flag(o.IgnoreEnd),
		max_tokens:  C.int64_t(o.MaxTokens),
		temperature: C.float(o.Temperature),
		top_k:       C.int32_t(o.TopK),
		top_p:       C.float(topP),
		min_p:       C.float(o.MinP),
		seed:        C.uint64_t(o.Seed),

		repetition_penalty: C.float(penalty),
		repetition_window:  C.int32_t(window),
	}
}
