package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"unicode/utf8"

	"reattn.org/reattn"
)

// part is a file's place in the document.
type part struct {
	name  string
	begin int // bytes from the document's start
}

// Library is a folder of text files that was read.
type Library struct {
	model    *reattn.Model
	snapshot *reattn.Snapshot
	parts    []part
	opening  []int32 // what the chat template writes before the user's message
	closing  []int32 // and after it
}

// readFolder is every text file below root in the order of their names, each under its name. Hidden files, links and what is
// no text in UTF-8 are left out.
func readFolder(root string) (text string, parts []part, err error) {
	var out strings.Builder
	if root, err = filepath.EvalSymlinks(root); err != nil { // WalkDir would not enter a link
		return "", nil, err
	}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		hidden := strings.HasPrefix(entry.Name(), ".") && path != root
		if entry.IsDir() {
			if hidden {
				return fs.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if hidden || !entry.Type().IsRegular() {
			log.Printf("left out: %s", name)
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !utf8.Valid(content) || strings.ContainsRune(string(content), 0) {
			log.Printf("left out: %s: not a text in UTF-8", name)
			return nil
		}
		parts = append(parts, part{name, out.Len()})
		out.WriteString(name + ":\n" + strings.TrimSpace(string(content)) + "\n\n")
		return nil
	})
	if err == nil && len(parts) == 0 {
		err = errors.New(root + ": there is no text in it")
	}
	return out.String(), parts, err
}

// chatFormat is what the model's chat template writes around the user's message; nothing for a model without one.
func chatFormat(model *reattn.Model) (opening, closing []int32, err error) {
	info, err := model.Info()
	if err != nil || !info.HasChatTemplate {
		if err == nil && info.AddBOS && info.BOS != reattn.NoToken {
			opening = []int32{info.BOS}
		}
		return opening, nil, err
	}
	const mark = "MARK0USER"
	text, err := model.RenderChat([]reattn.Message{{Role: "user", Content: mark}}, true)
	if err != nil {
		return nil, nil, err
	}
	before, after, found := strings.Cut(text, mark)
	if !found {
		return nil, nil, errors.New("the model's chat template hides messages")
	}
	if opening, err = model.TokenizeSpecial(before); err != nil {
		return nil, nil, err
	}
	closing, err = model.TokenizeSpecial(after)
	return opening, closing, err
}

// OpenLibrary reads the folder, or opens the snapshot when it holds the same texts; else it writes one, where path is not
// empty. The name of a snapshot beside the path says what it holds.
func OpenLibrary(ctx context.Context, model *reattn.Model, folder, path string) (*Library, error) {
	text, parts, err := readFolder(folder)
	if err != nil {
		return nil, err
	}
	opening, closing, err := chatFormat(model)
	if err != nil {
		return nil, err
	}
	library := &Library{model: model, parts: parts, opening: opening, closing: closing}
	sum := sha256.Sum256([]byte(text))
	mark := hex.EncodeToString(sum[:])
	if path != "" {
		held, err := os.ReadFile(path + ".sha256")
		if err == nil && string(held) == mark {
			if library.snapshot, err = model.OpenSnapshot(path); err == nil {
				return library, nil
			}
			log.Print(err) // of another model, or damaged: read anew
		}
	}
	session, err := model.NewSession(nil)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	ids, err := model.Tokenize(text)
	if err != nil {
		return nil, err
	}
	if err := session.AppendIDs(append(append([]int32{}, opening...), ids...)); err != nil {
		return nil, err
	}
	percent := int64(-1)
	err = session.Read(ctx, func(done, total int64) {
		if now := 100 * done / total; now/10 != percent/10 {
			percent = now
			log.Printf("read %d of %d tokens", done, total)
		}
	})
	if err != nil {
		return nil, err
	}
	if library.snapshot, err = session.Snapshot(); err != nil || path == "" {
		return library, err
	}
	// A mark says what the snapshot beside it holds: the old one must not outlive the old snapshot.
	if err := os.Remove(path + ".sha256"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := library.snapshot.Save(path); err != nil {
		return nil, err
	}
	return library, os.WriteFile(path+".sha256", []byte(mark), 0o600)
}

// Close frees what was read.
func (l *Library) Close() error { return l.snapshot.Close() }

// Ask makes a session and a request that answers the question.
func (l *Library) Ask(question string, options *reattn.RequestOptions) (*reattn.Session, *reattn.Request, error) {
	session, err := l.model.Resume(l.snapshot, nil)
	if err != nil {
		return nil, nil, err
	}
	ids, err := l.model.Tokenize("\n\n" + question)
	if err == nil {
		err = session.AppendIDs(append(ids, l.closing...))
	}
	var request *reattn.Request
	if err == nil {
		request, err = session.Generate(options)
	}
	if err != nil {
		session.Close()
		return nil, nil, err
	}
	return session, request, nil
}

// Passage is one that an answer was drawn from.
type Passage struct {
	File  string `json:"file"`
	Text  string `json:"text"`
	Votes int64  `json:"votes"`
}

// Passages are the most voted ones of the document.
func (l *Library) Passages(session *reattn.Session, request *reattn.Request, n int) ([]Passage, error) {
	spans, err := request.Recalled(reattn.AllLayers, reattn.Prompt)
	if err != nil {
		return nil, err
	}
	info, err := l.snapshot.Info()
	if err != nil {
		return nil, err
	}
	out := []Passage{}
	for _, span := range spans {
		begin, end := max(span.Begin, int64(len(l.opening))), min(span.End, info.Tokens)
		if len(out) == n || begin >= end {
			continue
		}
		before, err := session.Text(int64(len(l.opening)), begin)
		if err != nil {
			return nil, err
		}
		text, err := session.Text(begin, end)
		if err != nil {
			return nil, err
		}
		at := sort.Search(len(l.parts), func(i int) bool { return l.parts[i].begin > len(before) }) - 1
		// A passage may begin or end inside a character.
		out = append(out, Passage{l.parts[max(at, 0)].name, strings.ToValidUTF8(text, ""), span.Votes})
	}
	return out, nil
}
