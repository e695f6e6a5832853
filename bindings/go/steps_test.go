package reattn_test

import (
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"reattn.org/reattn"
)

// The operations that steps of conformance cases name.

type runner struct {
	t        *testing.T
	folder   string
	objects  map[string]io.Closer
	settings object
}

func newRunner(t *testing.T) *runner {
	r := &runner{t, t.TempDir(), map[string]io.Closer{}, nil}
	r.settings = normal(rawJSON(must[[]byte](t)(os.ReadFile(conformance("settings.json"))))).(object)
	t.Cleanup(func() {
		for _, object := range r.objects {
			check(t, object.Close())
		}
	})
	return r
}

type rawJSON []byte

func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }

func named[T io.Closer](r *runner, name string) T {
	object, ok := r.objects[name].(T)
	if !ok {
		r.t.Fatalf("%s is no %T", name, object)
	}
	return object
}

func on[T io.Closer](r *runner, s step) T { return named[T](r, s.text("on")) }

func (r *runner) model(s step) *reattn.Model {
	if !s.has("on") {
		return tiny()
	}
	return on[*reattn.Model](r, s)
}

// keep keeps a new object under the step's name.
func keep[T io.Closer](r *runner, s step, made T, err error) (any, error) {
	if err == nil {
		r.objects[s.text("as")] = made
	}
	return nil, err
}

func (r *runner) path(s step) string {
	return strings.NewReplacer("$tiny", tinyPath(), "$dir", r.folder).Replace(s.text("path"))
}

func (r *runner) sessionOptions(s step) (*reattn.SessionOptions, error) {
	var options reattn.SessionOptions
	var err error
	switch {
	case s.has("from"):
		options, err = named[*reattn.Snapshot](r, s.text("from")).SessionOptions()
	case s.has("defaults"):
		options, err = r.model(s).SessionOptions()
	default:
		options, err = r.model(s).SessionOptions()
		setSessionOptions(&options, r.settings)
	}
	setSessionOptions(&options, s.members("options"))
	return &options, err
}

func (r *runner) open(s step, synthetic bool) (any, error) {
	options := modelOptions(s)
	var last reattn.LoadProgress
	options.Progress = func(p reattn.LoadProgress) { last = p }
	var model *reattn.Model
	var err error
	if synthetic {
		model, err = reattn.Synthesize(background, geometry(s), options)
	} else {
		model, err = reattn.Open(background, r.path(s), options)
	}
	if err != nil {
		return nil, err
	}
	if !last.Finished {
		r.t.Fatal("no progress at the end")
	}
	r.objects[s.text("as")] = model
	return object{"bytes_done": last.BytesDone, "bytes_total": last.BytesTotal}, nil
}

func (r *runner) append(s step) error {
	var options reattn.AppendOptions
	flags, _ := s.object["flags"].([]any)
	options.More = slices.Contains(flags, any("more"))
	options.Special = slices.Contains(flags, any("special"))
	options.Logprobs = slices.Contains(flags, any("logprobs"))
	if s.has("ids") {
		return on[*reattn.Session](r, s).AppendIDsWith(s.ids(), options)
	}
	return on[*reattn.Session](r, s).AppendWith(s.content(), options)
}

func (r *runner) chat(s step, render bool) (text string, ids []int32, err error) {
	prompt := s.int("add_generation_prompt") != 0
	model := r.model(s)
	if s.has("json") {
		if render {
			text, err = model.RenderChatJSON(s.text("json"), prompt)
		} else {
			ids, err = model.TokenizeChatJSON(s.text("json"), prompt)
		}
		return text, ids, err
	}
	var messages []reattn.Message
	for _, raw := range s.object["messages"].([]any) {
		m := step{raw.(object)}
		messages = append(messages, reattn.Message{Role: m.text("role"), Content: m.text("content")})
	}
	if render {
		text, err = model.RenderChat(messages, prompt)
	} else {
		ids, err = model.TokenizeChat(messages, prompt)
	}
	return text, ids, err
}

func modelInfo(i reattn.ModelInfo) object {
	return object{"device": i.Device.String(), "n_layers": i.Layers, "n_embd": i.Embd, "n_heads": i.Heads,
		"n_kv_heads": i.KVHeads, "head_dim": i.HeadDim, "n_ff": i.FF, "n_vocab": i.Vocab, "n_window": i.Window,
		"model_fingerprint": i.ModelFingerprint, "rope_freq_base": i.RopeFreqBase, "bos_token": i.BOS,
		"eos_token": i.EOS, "eot_token": i.EOT, "unk_token": i.Unk, "pad_token": i.Pad, "add_bos": number(i.AddBOS),
		"has_chat_template": number(i.HasChatTemplate), "tied_embeddings": number(i.TiedEmbeddings),
		"header_only": number(i.HeaderOnly), "weights": weightsNames[i.Weights]}
}

func (r *runner) recalled(s step) (any, error) {
	layer := reattn.AllLayers
	if s.object["layer"] != "all" {
		layer = s.int("layer")
	}
	scope := constant(s.object["scope"], "", "last_step", "prompt", "answer")
	spans, err := on[*reattn.Request](r, s).Recalled(layer, reattn.Scope(scope))
	rows := [][]int64{}
	for _, span := range spans {
		rows = append(rows, []int64{span.Begin, span.End, span.Votes})
	}
	return object{"spans": rows}, err
}

func (r *runner) queueDrain(s step) (any, error) {
	answers := map[string]*answer{}
	for tagged, err := range on[*reattn.Queue](r, s).Events(r.t.Context()) {
		if err != nil {
			return nil, err
		}
		if tagged.Err != nil {
			return nil, tagged.Err
		}
		tag := strconv.FormatUint(tagged.Tag, 10)
		if answers[tag] == nil {
			answers[tag] = &answer{}
		}
		answers[tag].add(tagged.Event)
	}
	out := object{}
	for tag, answer := range answers {
		out[tag] = answer.object()
	}
	return object{"answers": out}, nil
}

func (r *runner) run(s step) (any, error) {
	switch do := s.text("do"); do {
	case "write_file":
		return nil, os.WriteFile(r.path(s), []byte(s.content()), 0o600)
	case "flip_byte":
		bytes := must[[]byte](r.t)(os.ReadFile(r.path(s)))
		bytes[s.int("at")] ^= 0xFF
		return nil, os.WriteFile(r.path(s), bytes, 0o600)
	case "open_model", "synthesize":
		return r.open(s, do == "synthesize")
	case "model_info":
		info, err := r.model(s).Info()
		return modelInfo(info), err
	case "metadata":
		entries, err := r.model(s).Metadata()
		for _, entry := range entries {
			if entry.Key == s.text("key") {
				return object{"value": entry.Value}, err
			}
		}
		return object{"value": nil}, err
	case "estimate":
		options, err := r.sessionOptions(s)
		check(r.t, err)
		plan, err := r.model(s).Estimate(options, s.int("n_tokens"))
		return object{"fits": number(plan.Fits), "weights_bytes": plan.WeightsBytes, "kv_bytes": plan.KVBytes}, err
	case "default_options":
		s.object["defaults"] = true
		o, err := r.sessionOptions(s)
		return object{"selection": selectionNames[o.Selection], "n_global": o.Global, "n_local": o.Local, "top_k": o.TopK,
			"span": o.Span, "n_anchors": o.Anchors, "chunk": o.Chunk, "vote_stride": o.VoteStride,
			"kv_dtype": kvNames[o.KV], "max_tokens": o.MaxTokens, "scoring": scoringNames[o.Scoring]}, err
	case "tokenize":
		tokenize := r.model(s).Tokenize
		if s.has("special") {
			tokenize = r.model(s).TokenizeSpecial
		}
		ids, err := tokenize(s.content())
		return object{"ids": ids}, err
	case "detokenize":
		text, err := r.model(s).Detokenize(s.ids())
		return textOrHex(text), err
	case "render_chat", "tokenize_chat":
		text, ids, err := r.chat(s, do == "render_chat")
		return object{"text": text, "ids": ids}, err
	case "new_session":
		options, err := r.sessionOptions(s)
		if err != nil {
			return nil, err
		}
		var session *reattn.Session
		if s.has("from") {
			session, err = r.model(s).Resume(named[*reattn.Snapshot](r, s.text("from")), options)
		} else {
			session, err = r.model(s).NewSession(options)
		}
		return keep(r, s, session, err)
	case "append":
		return nil, r.append(s)
	case "session_info":
		i, err := on[*reattn.Session](r, s).Info()
		return object{"n_tokens": i.Tokens, "n_pending": i.Pending, "n_pages": i.Pages, "n_shared_pages": i.SharedPages,
			"page_tokens": i.PageTokens}, err
	case "tokens":
		ids, err := on[*reattn.Session](r, s).Tokens(s.int("begin"), s.int("end"))
		return object{"ids": ids}, err
	case "text":
		text, err := on[*reattn.Session](r, s).Text(s.int("begin"), s.int("end"))
		return textOrHex(text), err
	case "logprobs":
		values, err := on[*reattn.Session](r, s).Logprobs(s.int("begin"), s.int("end"))
		var out []any
		for _, value := range values {
			if value != value {
				out = append(out, nil)
			} else {
				out = append(out, value)
			}
		}
		return object{"logprobs": out}, err
	case "truncate":
		return nil, on[*reattn.Session](r, s).Truncate(s.int("n_tokens"))
	case "fork":
		fork, err := on[*reattn.Session](r, s).Fork()
		return keep(r, s, fork, err)
	case "snapshot":
		snapshot, err := on[*reattn.Session](r, s).Snapshot()
		return keep(r, s, snapshot, err)
	case "save":
		return nil, on[*reattn.Snapshot](r, s).Save(r.path(s))
	case "open_snapshot":
		snapshot, err := r.model(s).OpenSnapshot(r.path(s))
		return keep(r, s, snapshot, err)
	case "snapshot_info":
		info, err := on[*reattn.Snapshot](r, s).Info()
		return object{"n_tokens": info.Tokens, "has_logits": number(info.HasLogits)}, err
	case "request":
		request, err := on[*reattn.Session](r, s).Generate(requestOptions(s))
		return keep(r, s, request, err)
	case "add_stop":
		return nil, on[*reattn.Request](r, s).AddStop(s.content())
	case "set_json_schema":
		return nil, on[*reattn.Request](r, s).SetJSONSchema(s.content())
	case "next":
		return eventObject(on[*reattn.Request](r, s).Next(background))
	case "drain":
		var a answer
		for event, err := range on[*reattn.Request](r, s).Events(background) {
			if err != nil {
				return nil, err
			}
			a.add(event)
		}
		return a.object(), nil
	case "cancel":
		return nil, on[*reattn.Request](r, s).Cancel()
	case "recalled":
		return r.recalled(s)
	case "logits":
		logits, err := on[*reattn.Request](r, s).Logits()
		if err != nil {
			return nil, err
		}
		return object{"n": len(logits), "best": slices.Index(logits, slices.Max(logits))}, nil
	case "stats":
		stats, err := on[*reattn.Request](r, s).Stats()
		return object{"done": number(stats.Done), "n_prefill_tokens": stats.PrefillTokens,
			"n_decode_tokens": stats.DecodeTokens, "first_token_seconds": stats.FirstToken.Seconds()}, err
	case "new_queue":
		queue, err := r.model(s).NewQueue()
		return keep(r, s, queue, err)
	case "queue_add":
		request := named[*reattn.Request](r, s.text("request"))
		return nil, on[*reattn.Queue](r, s).Add(request, uint64(s.int("tag")))
	case "queue_drain":
		return r.queueDrain(s)
	case "close":
		return nil, r.objects[s.text("on")].Close()
	default:
		panic("no operation " + do)
	}
}
