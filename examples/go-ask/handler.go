package main

import (
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"reattn.org/reattn"
)

// Limits bound what a client can make the handler do.
type Limits struct {
	BodyBytes     int64
	QuestionBytes int
	MaxTokens     int64         // of an answer; also what a request without its own gets
	Time          time.Duration // of an answer
	AtOnce        int           // questions
	Passages      int
}

// DefaultLimits suit a machine that a few people use.
var DefaultLimits = Limits{BodyBytes: 64 << 10, QuestionBytes: 16 << 10, MaxTokens: 512, Time: 5 * time.Minute, AtOnce: 4, Passages: 5}

// Handler answers POST /ask from a library, and GET /health.
type Handler struct {
	library      *Library
	limits       Limits
	loopbackOnly bool
	slots        chan struct{}
	mux          *http.ServeMux
}

// NewHandler makes one. With loopbackOnly, requests for another host name than the loopback's are refused: a web page may
// have made its own name mean this machine.
func NewHandler(library *Library, limits Limits, loopbackOnly bool) *Handler {
	h := &Handler{library, limits, loopbackOnly, make(chan struct{}, limits.AtOnce), http.NewServeMux()}
	h.mux.HandleFunc("POST /ask", h.ask)
	h.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{\"status\": \"ok\"}\n"))
	})
	return h
}

func isLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if h.loopbackOnly && !isLoopback(r.Host) {
		refuse(w, http.StatusForbidden, "this server answers to the loopback's names only")
		return
	}
	h.mux.ServeHTTP(w, r)
}

func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(line{Error: message})
}

// question is the body of POST /ask.
type question struct {
	Question    string   `json:"question"`
	MaxTokens   *int64   `json:"max_tokens"`
	Temperature float32  `json:"temperature"`
	Seed        uint64   `json:"seed"`
	Stop        []string `json:"stop"`
}

type progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// line is one of the answer's.
type line struct {
	Progress *progress `json:"progress,omitempty"`
	Text     string    `json:"text,omitempty"`
	Done     string    `json:"done,omitempty"`
	Passages []Passage `json:"passages,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// read reads and checks the body; where it is refused, the answer was written.
func (h *Handler) read(w http.ResponseWriter, r *http.Request) (q question, ok bool) {
	// A form that some web page sends has another type, and a script of it has to ask first, which is not answered.
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "Content-Type must be application/json")
		return q, false
	}
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, h.limits.BodyBytes))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&q)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		refuse(w, http.StatusRequestEntityTooLarge, "the body is too large")
	case err != nil:
		refuse(w, http.StatusBadRequest, "the body: "+err.Error())
	case strings.TrimSpace(q.Question) == "":
		refuse(w, http.StatusBadRequest, "question is empty")
	case len(q.Question) > h.limits.QuestionBytes:
		refuse(w, http.StatusBadRequest, "question is too long")
	case q.MaxTokens != nil && (*q.MaxTokens < 1 || *q.MaxTokens > h.limits.MaxTokens):
		refuse(w, http.StatusBadRequest, "max_tokens is out of range")
	case len(q.Stop) > 8:
		refuse(w, http.StatusBadRequest, "more than 8 texts in stop")
	default:
		return q, true
	}
	return q, false
}

func (h *Handler) ask(w http.ResponseWriter, r *http.Request) {
	q, ok := h.read(w, r)
	if !ok {
		return
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusTooManyRequests, "too many questions at once")
		return
	}
	options := &reattn.RequestOptions{MaxTokens: h.limits.MaxTokens, Temperature: q.Temperature, Seed: q.Seed, Stop: q.Stop}
	if q.MaxTokens != nil {
		options.MaxTokens = *q.MaxTokens
	}
	session, request, err := h.library.Ask(q.Question, options)
	if err != nil {
		status := http.StatusInternalServerError
		if errors.Is(err, reattn.ErrArg) {
			status = http.StatusBadRequest
		}
		refuse(w, status, err.Error())
		return
	}
	defer session.Close()
	defer request.Close()
	// Done when the client is gone, too.
	ctx, cancel := context.WithTimeout(r.Context(), h.limits.Time)
	defer cancel()
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	controller := http.NewResponseController(w)
	send := func(l line) error {
		if err := out.Encode(l); err != nil {
			return err
		}
		return controller.Flush()
	}
	if err := h.stream(ctx, session, request, send); err != nil {
		_ = send(line{Error: err.Error()}) // nobody may be there to read it
	}
}

// stream sends the answer as it comes.
func (h *Handler) stream(ctx context.Context, session *reattn.Session, request *reattn.Request, send func(line) error) error {
	for event, err := range request.Events(ctx) {
		if err != nil {
			return err
		}
		switch {
		case event.Kind == reattn.EventPrefill:
			err = send(line{Progress: &progress{event.Done, event.Total}})
		case event.Text != "":
			err = send(line{Text: event.Text})
		}
		if err == nil && event.Kind == reattn.EventDone && event.Reason != reattn.DoneCancelled {
			var passages []Passage
			if passages, err = h.library.Passages(session, request, h.limits.Passages); err == nil {
				err = send(line{Done: event.Reason.String(), Passages: passages})
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
