package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"reattn.org/reattn"
)

// With the tiny model that the tree's tests make: what it answers means nothing, what happens on the way does.
var tiny = sync.OnceValue(func() *reattn.Model {
	model, err := reattn.Open(context.Background(), os.Getenv("REATTN_TINY_MODEL"), &reattn.ModelOptions{Device: reattn.DeviceCPU})
	if err != nil {
		panic(err)
	}
	return model
})

func notes(t *testing.T) string {
	folder := t.TempDir()
	for name, text := range map[string]string{
		"a.txt":      strings.Repeat("The Heron came on Monday with salt. ", 40),
		"deep/b.md":  strings.Repeat("日本の船 🐟 came on Tuesday with tar. ", 40),
		"c.bin":      "\xff\xfe\x00",
		".hidden":    "not this",
		".git/d.txt": "nor this",
	} {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func start(t *testing.T, limits Limits) (*Library, *httptest.Server) {
	library, err := OpenLibrary(context.Background(), tiny(), notes(t), "")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(NewHandler(library, limits, true))
	t.Cleanup(func() {
		server.Close()
		library.Close()
	})
	return library, server
}

func TestALinkToTheFolderIsTheFolder(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(notes(t), link); err != nil {
		t.Fatal(err)
	}
	text, parts, err := readFolder(link)
	if err != nil || len(parts) != 2 || !strings.Contains(text, "Heron") {
		t.Fatalf("%v %v", parts, err)
	}
}

func TestAMarkIsOfTheSnapshotBesideIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := os.MkdirAll(filepath.Join(path, "in the way"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".sha256", []byte("of another text"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenLibrary(context.Background(), tiny(), notes(t), path); err == nil {
		t.Fatal("saved over a folder")
	}
	if _, err := os.Stat(path + ".sha256"); !os.IsNotExist(err) {
		t.Fatal("the mark is still there", err)
	}
}

func post(t *testing.T, ctx context.Context, url, body string) *http.Response {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/ask", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func lines(t *testing.T, body io.ReadCloser) (out []line) {
	defer body.Close()
	scanner := bufio.NewScanner(body)
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatal(err, scanner.Text())
		}
		out = append(out, l)
	}
	return out
}

func TestAnswersComeWithTheFilesTheyAreFrom(t *testing.T) {
	_, server := start(t, DefaultLimits)
	response := post(t, context.Background(), server.URL, `{"question": "Which ship 🐟?", "max_tokens": 5}`)
	got := lines(t, response.Body)
	if response.StatusCode != http.StatusOK || got[0].Progress == nil {
		t.Fatalf("%d %+v", response.StatusCode, got)
	}
	last := got[len(got)-1]
	if last.Done == "" || len(last.Passages) != 5 {
		t.Fatalf("%+v", last)
	}
	for _, passage := range last.Passages {
		if passage.File != "a.txt" && passage.File != "deep/b.md" {
			t.Errorf("%+v", passage)
		}
	}
	// The same question, the same answer.
	again := lines(t, post(t, context.Background(), server.URL, `{"question": "Which ship 🐟?", "max_tokens": 5}`).Body)
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(again)
	if !bytes.Equal(a, b) {
		t.Errorf("%s, then %s", a, b)
	}
}

// With REATTN_TEST_MODEL, also what the answer is.
func TestARealModelFindsWhatIsWritten(t *testing.T) {
	path := os.Getenv("REATTN_TEST_MODEL")
	if path == "" {
		t.Skip("REATTN_TEST_MODEL is not set")
	}
	model, err := reattn.Open(context.Background(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	for name, text := range map[string]string{
		"a.txt": strings.Repeat("Ships came and went, and nothing was written down of them. ", 40),
		"b.txt": "The keeper of the north door is called Barnabas Quill.",
		"c.txt": strings.Repeat("In winter the harbour was quiet and the nets were mended. ", 40),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	library, err := OpenLibrary(context.Background(), model, folder, "")
	if err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	server := httptest.NewServer(NewHandler(library, DefaultLimits, true))
	defer server.Close()
	answer := ""
	for _, l := range lines(t, post(t, context.Background(), server.URL,
		`{"question": "What is the keeper of the north door called?", "max_tokens": 24}`).Body) {
		answer += l.Text
	}
	if !strings.Contains(answer, "Barnabas Quill") {
		t.Errorf("answered %q", answer)
	}
}

func TestWhatIsRefused(t *testing.T) {
	limits := DefaultLimits
	limits.BodyBytes, limits.QuestionBytes = 1000, 100
	_, server := start(t, limits)
	for body, status := range map[string]int{
		`{"question": "` + strings.Repeat("x", 2000) + `"}`: http.StatusRequestEntityTooLarge,
		`{"question": "` + strings.Repeat("x", 200) + `"}`:  http.StatusBadRequest,
		`{"question": " "}`:                        http.StatusBadRequest,
		`{"question": "x", "max_tokens": 0}`:       http.StatusBadRequest,
		`{"question": "x", "max_tokens": 100000}`:  http.StatusBadRequest,
		`{"question": "x", "file": "/etc/passwd"}`: http.StatusBadRequest,
		`{"question": "x", "temperature": -1}`:     http.StatusBadRequest,
		`{"question": "x", "stop": [""]}`:          http.StatusBadRequest,
		`{`:                                        http.StatusBadRequest,
	} {
		response := post(t, context.Background(), server.URL, body)
		if got := lines(t, response.Body); response.StatusCode != status || len(got) != 1 || got[0].Error == "" {
			t.Errorf("%s: %d %+v", body, response.StatusCode, got)
		}
	}
	request := func(method, path, kind, host string) int {
		r, _ := http.NewRequest(method, server.URL+path, strings.NewReader(`{"question": "x"}`))
		r.Header.Set("Content-Type", kind)
		if host != "" {
			r.Host = host
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	for _, c := range []struct {
		method, path, kind, host string
		status                   int
	}{
		{"POST", "/ask", "text/plain", "", http.StatusUnsupportedMediaType},
		{"POST", "/ask", "", "", http.StatusUnsupportedMediaType},
		{"POST", "/ask", "application/json", "evil.example:80", http.StatusForbidden},
		{"POST", "/ask", "application/json; charset=utf-8", "localhost", http.StatusOK},
		{"GET", "/ask", "application/json", "", http.StatusMethodNotAllowed},
		{"GET", "/other", "application/json", "", http.StatusNotFound},
		{"GET", "/health", "", "", http.StatusOK},
	} {
		if got := request(c.method, c.path, c.kind, c.host); got != c.status {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

func TestAClientThatLeavesEndsItsAnswerAndFreesItsPlace(t *testing.T) {
	limits := DefaultLimits
	limits.AtOnce, limits.MaxTokens = 1, math.MaxInt64
	_, server := start(t, limits)
	ctx, leave := context.WithCancel(context.Background())
	endless := post(t, ctx, server.URL, `{"question": "Which ship?", "stop": ["never to be said"]}`)
	if _, err := bufio.NewReader(endless.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	busy := post(t, context.Background(), server.URL, `{"question": "x"}`)
	if got := lines(t, busy.Body); busy.StatusCode != http.StatusTooManyRequests || busy.Header.Get("Retry-After") == "" {
		t.Fatalf("the answer was over too soon: %d %+v", busy.StatusCode, got)
	}
	leave()
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(time.Millisecond) {
		response := post(t, context.Background(), server.URL, `{"question": "x", "max_tokens": 1}`)
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the place is still taken")
		}
	}
}

func TestATimeLimitEndsAnAnswer(t *testing.T) {
	limits := DefaultLimits
	limits.Time = time.Nanosecond
	_, server := start(t, limits)
	got := lines(t, post(t, context.Background(), server.URL, `{"question": "Which ship?"}`).Body)
	if last := got[len(got)-1]; !strings.Contains(last.Error, "deadline") {
		t.Errorf("%+v", got)
	}
}

func TestASnapshotIsUsedWhenTheTextsAreTheSame(t *testing.T) {
	folder, path := notes(t), filepath.Join(t.TempDir(), "notes.reattn")
	open := func() (answer string, nRead int) {
		library, err := OpenLibrary(context.Background(), tiny(), folder, path)
		if err != nil {
			t.Fatal(err)
		}
		defer library.Close()
		session, request, err := library.Ask("Which ship?", &reattn.RequestOptions{MaxTokens: 5})
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		answer, err = request.Text(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return answer, len(library.parts)
	}
	first, n := open()
	written, err := os.Stat(path)
	if err != nil || n != 2 {
		t.Fatal(err, n)
	}
	if again, _ := open(); again != first {
		t.Errorf("%q, not %q", again, first)
	}
	if now, err := os.Stat(path); err != nil || now.ModTime() != written.ModTime() {
		t.Error("it was read again")
	}
	if err := os.WriteFile(filepath.Join(folder, "e.txt"), []byte("more"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, n := open(); n != 3 {
		t.Errorf("%d files", n)
	}
	if now, err := os.Stat(path); err != nil || now.ModTime() == written.ModTime() {
		t.Error("it was not read again")
	}
}

func TestOnlyTheLoopbackIsTheLoopback(t *testing.T) {
	for host, is := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "localhost": true, "localhost:8080": true, "127.8.8.8": true, "[::1]": true,
		"0.0.0.0:80": false, ":80": false, "10.0.0.1": false, "localhost.evil.example": false, "": false,
	} {
		if isLoopback(host) != is {
			t.Errorf("%q", host)
		}
	}
}
