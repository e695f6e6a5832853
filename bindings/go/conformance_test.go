package reattn_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"reattn.org/reattn"
)

// Runs the cases of bindings/conformance, whose README says what a step means.

const logprobTolerance = 0.01

// leftOut are cases that Go cannot express, with the reason.
var leftOut = map[string]string{
	"top_p_0": "a TopP of 0 is the zero value, which stands for off",
}

type object = map[string]any

// step is a step of a case.
type step struct{ object }

func (s step) has(name string) bool { _, ok := s.object[name]; return ok }

func (s step) text(name string) string {
	text, ok := s.object[name].(string)
	if !ok {
		panic(fmt.Sprintf("%s is no text in %v", name, s.object))
	}
	return text
}

func (s step) int(name string) int64 { return integer(s.object[name]) }

func (s step) ids() []int32 {
	out := []int32{}
	for _, id := range s.object["ids"].([]any) {
		out = append(out, int32(integer(id)))
	}
	return out
}

func (s step) members(name string) object {
	members, _ := s.object[name].(object)
	return members
}

// content is the step's text, in whatever form.
func (s step) content() string {
	switch {
	case s.has("hex"):
		bytes, err := hex.DecodeString(s.text("hex"))
		if err != nil {
			panic(err)
		}
		return string(bytes)
	case s.has("file"):
		bytes, err := os.ReadFile(conformance(s.text("file")))
		if err != nil {
			panic(err)
		}
		return string(bytes)
	case s.has("times"):
		return strings.Repeat(s.text("text"), int(s.int("times")))
	}
	return s.text("text")
}

func integer(value any) int64 {
	switch value := value.(type) {
	case json.Number:
		n, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			panic(err)
		}
		return n
	case bool:
		if value {
			return 1
		}
		return 0
	}
	panic(fmt.Sprintf("%v is no integer", value))
}

func float(value any) float64 {
	f, err := value.(json.Number).Float64()
	if err != nil {
		panic(err)
	}
	return f
}

// constant is a number, given as that or by a name among names, whose first has the value 0.
func constant(value any, names ...string) int32 {
	name, ok := value.(string)
	if !ok {
		return int32(integer(value))
	}
	for i, known := range names {
		if name == known {
			return int32(i)
		}
	}
	panic("no constant " + name)
}

var (
	deviceNames    = []string{"auto", "cpu", "cuda"}
	weightsNames   = []string{"auto", "fp8"}
	selectionNames = []string{"full", "exact", "block1"}
	kvNames        = []string{"f32", "f16", "bf16", "int8"}
	scoringNames   = []string{"native", "int8"}
	reasonNames    = []string{"", "READ", "END", "STOP", "LENGTH", "FULL", "CANCELLED"}
)

func modelOptions(s step) *reattn.ModelOptions {
	o := &reattn.ModelOptions{Device: reattn.DeviceCPU}
	for name, value := range s.members("options") {
		switch name {
		case "device":
			o.Device = reattn.Device(constant(value, deviceNames...))
		case "device_index":
			o.DeviceIndex = int32(integer(value))
		case "weights":
			o.Weights = reattn.Weights(constant(value, weightsNames...))
		case "n_threads":
			o.Threads = int32(integer(value))
		case "header_only":
			o.HeaderOnly = integer(value) != 0
		default:
			panic("no option " + name)
		}
	}
	return o
}

func geometry(s step) (g reattn.Geometry) {
	for name, value := range s.members("geometry") {
		switch name {
		case "tied_embeddings":
			g.TiedEmbeddings = integer(value) != 0
		case "n_layers":
			g.Layers = integer(value)
		case "n_embd":
			g.Embd = integer(value)
		case "n_heads":
			g.Heads = integer(value)
		case "n_kv_heads":
			g.KVHeads = integer(value)
		case "head_dim":
			g.HeadDim = integer(value)
		case "n_ff":
			g.FF = integer(value)
		case "n_vocab":
			g.Vocab = integer(value)
		case "n_window":
			g.Window = integer(value)
		case "rope_freq_base":
			g.RopeFreqBase = float(value)
		case "seed":
			g.Seed = uint64(integer(value))
		default:
			panic("no member " + name)
		}
	}
	return g
}

func setSessionOptions(o *reattn.SessionOptions, changes object) {
	for name, value := range changes {
		switch name {
		case "selection":
			o.Selection = reattn.Selection(constant(value, selectionNames...))
		case "n_global":
			o.Global = integer(value)
		case "n_local":
			o.Local = integer(value)
		case "top_k":
			o.TopK = int32(integer(value))
		case "span":
			o.Span = int32(integer(value))
		case "n_anchors":
			o.Anchors = int32(integer(value))
		case "chunk":
			o.Chunk = int32(integer(value))
		case "vote_stride":
			o.VoteStride = int32(integer(value))
		case "kv_dtype":
			o.KV = reattn.KVType(constant(value, kvNames...))
		case "max_tokens":
			o.MaxTokens = integer(value)
		case "scoring":
			o.Scoring = reattn.Scoring(constant(value, scoringNames...))
		default:
			panic("no option " + name)
		}
	}
}

func requestOptions(s step) *reattn.RequestOptions {
	o := &reattn.RequestOptions{IgnoreEnd: true}
	for name, value := range s.members("options") {
		switch name {
		case "ignore_end":
			o.IgnoreEnd = integer(value) != 0
		case "max_tokens":
			o.MaxTokens = integer(value)
		case "temperature":
			o.Temperature = float32(float(value))
		case "top_k":
			o.TopK = int32(integer(value))
		case "top_p":
			o.TopP = float32(float(value))
		case "min_p":
			o.MinP = float32(float(value))
		case "seed":
			o.Seed = uint64(integer(value))
		case "repetition_penalty":
			o.RepetitionPenalty = float32(float(value))
		case "repetition_window":
			o.RepetitionWindow = int32(integer(value))
			if o.RepetitionWindow == 0 {
				o.RepetitionWindow = reattn.AllTokens
			}
		default:
			panic("no option " + name)
		}
	}
	if s.has("stops") {
		for _, stop := range s.object["stops"].([]any) {
			o.Stop = append(o.Stop, stop.(string))
		}
	}
	if s.has("json_schema") {
		schema, err := json.Marshal(s.object["json_schema"])
		if err != nil {
			panic(err)
		}
		o.JSONSchema = string(schema)
	}
	return o
}

func textOrHex(text string) object {
	if utf8.ValidString(text) {
		return object{"text": text}
	}
	return object{"hex": hex.EncodeToString([]byte(text))}
}

func number(truth bool) int {
	if truth {
		return 1
	}
	return 0
}

func eventObject(e reattn.Event, err error) (object, error) {
	if err == io.EOF {
		return object{"kind": "END"}, nil
	}
	if err != nil {
		return nil, err
	}
	kind := []string{"", "PREFILL", "TEXT", "DONE"}[e.Kind]
	var reason any
	if e.Reason != 0 {
		reason = reasonNames[e.Reason]
	}
	return object{"kind": kind, "n_done": e.Done, "n_total": e.Total, "token": e.Token, "text": e.Text, "reason": reason}, nil
}

// answer is what a request gave.
type answer struct {
	tokens []int32
	pieces []string
	reason string
	nRead  int64
}

func (a *answer) add(e reattn.Event) {
	switch e.Kind {
	case reattn.EventText:
		a.tokens = append(a.tokens, e.Token)
		a.pieces = append(a.pieces, e.Text)
	case reattn.EventDone:
		a.pieces = append(a.pieces, e.Text)
		a.reason, a.nRead = reasonNames[e.Reason], e.Done
	}
}

func (a *answer) object() object {
	if a.tokens == nil {
		a.tokens = []int32{}
	}
	return object{"tokens": a.tokens, "text": strings.Join(a.pieces, ""), "pieces": a.pieces, "reason": a.reason, "n_read": a.nRead}
}

// normal is a value as it would be read from JSON.
func normal(value any) any {
	bytes, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(bytes)))
	decoder.UseNumber()
	var out any
	if err := decoder.Decode(&out); err != nil {
		panic(err)
	}
	return out
}

// compare says what is wrong, if anything.
func compare(expected, got any) error {
	switch expected := expected.(type) {
	case object:
		members, ok := got.(object)
		if !ok || len(expected) == 0 && len(members) != 0 {
			return fmt.Errorf("gave %v, not %v", got, expected)
		}
		for name, value := range expected {
			member, ok := members[name]
			if !ok {
				return fmt.Errorf("nothing gives %s", name)
			}
			if err := compare(value, member); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
		return nil
	case []any:
		items, ok := got.([]any)
		if !ok || len(items) != len(expected) {
			return fmt.Errorf("gave %v, not %v", got, expected)
		}
		for i, value := range expected {
			if err := compare(value, items[i]); err != nil {
				return err
			}
		}
		return nil
	case json.Number:
		if value, ok := got.(json.Number); ok && strings.ContainsAny(string(expected)+string(value), ".e") {
			if math.Abs(float(expected)-float(value)) < logprobTolerance {
				return nil
			}
		}
	}
	if reflect.DeepEqual(expected, got) {
		return nil
	}
	return fmt.Errorf("gave %v, not %v", got, expected)
}

func runStep(r *runner, s step) error {
	got, err := r.run(s)
	if fails, ok := s.object["fails"].(object); ok {
		if err == nil {
			return errors.New("it did not fail")
		}
		var failure *reattn.Error
		if !errors.As(err, &failure) || failure.Code.String() != fails["code"] {
			return fmt.Errorf("failed with %w", err)
		}
		says, _ := fails["says"].([]any)
		for _, part := range says {
			if !strings.Contains(failure.Message, part.(string)) {
				return fmt.Errorf("failed with %w", err)
			}
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("failed with %w", err)
	}
	if s.has("expect") {
		return compare(s.object["expect"], normal(got))
	}
	return nil
}

func TestConformance(t *testing.T) {
	files, err := filepath.Glob(conformance("cases", "*.json"))
	check(t, err)
	nRun := 0
	for _, file := range files {
		content := normal(json.RawMessage(must[[]byte](t)(os.ReadFile(file)))).(object)
		for _, raw := range content["cases"].([]any) {
			kase := raw.(object)
			nRun++
			t.Run(strings.TrimSuffix(filepath.Base(file), ".json")+"/"+kase["name"].(string), func(t *testing.T) {
				if why, ok := leftOut[kase["name"].(string)]; ok {
					t.Log("left out: " + why)
					return
				}
				r := newRunner(t)
				for i, raw := range kase["steps"].([]any) {
					s := step{raw.(object)}
					if err := runStep(r, s); err != nil {
						t.Fatalf("step %d (%s): %v", i, s.text("do"), err)
					}
				}
			})
		}
	}
	if nRun <= 80 {
		t.Fatalf("only %d cases", nRun)
	}
}
