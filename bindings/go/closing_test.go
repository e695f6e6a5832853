package reattn_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"reattn.org/reattn"
)

func TestEveryOrderOfClosingIsFine(t *testing.T) {
	for order := range 120 { // model, session, snapshot, request, queue
		model := must[*reattn.Model](t)(reattn.Open(background, tinyPath(), &reattn.ModelOptions{Device: reattn.DeviceCPU}))
		s := must[*reattn.Session](t)(model.NewSession(small(t)))
		check(t, s.Append("Tea and oranges"))
		check(t, s.Read(background, nil))
		snapshot := must[*reattn.Snapshot](t)(s.Snapshot())
		request := generate(t, s, 2)
		queue := must[*reattn.Queue](t)(model.NewQueue())
		check(t, queue.Add(request, 1))
		must[reattn.Tagged](t)(queue.Next(background))
		objects := []io.Closer{model, s, snapshot, request, queue}
		var all sync.WaitGroup
		for n, rest := len(objects), order; n > 0; n-- {
			object := objects[rest%n]
			objects = append(objects[:rest%n:rest%n], objects[rest%n+1:]...)
			rest /= n
			if order%2 == 0 {
				check(t, object.Close())
				continue
			}
			all.Add(1) // each on a goroutine of its own, twice
			go func() {
				defer all.Done()
				check(t, object.Close())
				check(t, object.Close())
			}()
		}
		all.Wait()
		if _, err := s.Info(); !errors.Is(err, reattn.ErrHandle) {
			t.Fatalf("use after close gave %v", err)
		}
	}
}

func TestClosingARequestEndsItsPull(t *testing.T) {
	s := session(t)
	check(t, s.Append("Tea"))
	request := generate(t, s, math.MaxInt64)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		time.Sleep(20 * time.Millisecond)
		request.Close()
	}()
	var last error
	for _, err := range request.Events(background) {
		last = err
	}
	if !errors.Is(last, reattn.ErrHandle) && last != nil {
		t.Fatal(last)
	}
	<-closed // the pull may end first
	check(t, s.Append("x"))
}

func TestZeroValuesAreClosed(t *testing.T) {
	if _, err := new(reattn.Model).Info(); !errors.Is(err, reattn.ErrHandle) {
		t.Errorf("a model that was never made gave %v", err)
	}
	check(t, new(reattn.Session).Close())
}

func TestTimeoutsChangeNothing(t *testing.T) {
	plain := session(t)
	check(t, plain.Append(document(t)))
	expected := must[string](t)(generate(t, plain, 6).Text(background))
	s := session(t)
	check(t, s.Append(document(t)))
	request := generate(t, s, 6)
	text, nTimeouts := "", 0
	for {
		event, err := request.Wait(0)
		if err == io.EOF {
			break
		}
		if err == reattn.ErrTimeout {
			nTimeouts++
			continue
		}
		check(t, err)
		text += event.Text
	}
	if text != expected || nTimeouts == 0 {
		t.Errorf("%q, not %q; %d timeouts", text, expected, nTimeouts)
	}
}

func TestAReaderIsOneTextOrNone(t *testing.T) {
	text := strings.Repeat(document(t), 200) // several pieces, some of which end inside a character
	whole, piecewise := session(t), session(t)
	check(t, whole.Append(text))
	if n := must[int64](t)(piecewise.AppendReader(strings.NewReader(text))); n != int64(len(text)) {
		t.Errorf("%d bytes", n)
	}
	expected := must[reattn.SessionInfo](t)(whole.Info()).Pending
	if n := must[reattn.SessionInfo](t)(piecewise.Info()).Pending; n != expected {
		t.Errorf("%d tokens, not %d", n, expected)
	}
	bad := session(t)
	if _, err := bad.AppendReader(strings.NewReader(text + "\xff")); !errors.Is(err, reattn.ErrArg) {
		t.Errorf("gave %v", err)
	}
	if n := must[reattn.SessionInfo](t)(bad.Info()).Pending; n != 0 {
		t.Errorf("%d tokens are queued", n)
	}
	check(t, bad.Append("a text of its own"))
}

func TestMessagesAreUTF8(t *testing.T) {
	_, err := tiny().TokenizeChat([]reattn.Message{{Role: "user", Content: "ok"}, {Role: "user", Content: "\xff"}}, true)
	if !errors.Is(err, reattn.ErrArg) || !strings.Contains(err.Error(), "messages[1]") {
		t.Errorf("gave %v", err)
	}
}

func TestContextsEndWhatTheyAreGivenTo(t *testing.T) {
	cancelled, cancel := context.WithCancel(background)
	cancel()
	if _, err := reattn.Open(cancelled, tinyPath(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("open gave %v", err)
	}
	// Larger than what is made in a moment.
	shape := reattn.Geometry{Layers: 16, Embd: 1024, Heads: 16, KVHeads: 16, HeadDim: 64, FF: 8192, Vocab: 300, Window: 512, RopeFreqBase: 10000}
	soon, cancelSoon := context.WithTimeout(background, 5*time.Millisecond)
	defer cancelSoon()
	if _, err := reattn.Synthesize(soon, shape, &reattn.ModelOptions{Device: reattn.DeviceCPU}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("synthesize gave %v", err)
	}

	s := session(t)
	check(t, s.Append(document(t)))
	ctx, stop := context.WithCancelCause(background)
	defer stop(nil)
	why := errors.New("the reader left")
	var events []reattn.Event
	var last error
	for event, err := range generate(t, s, math.MaxInt64).Events(ctx) {
		last = err
		if err == nil {
			events = append(events, event)
		}
		if event.Kind == reattn.EventText {
			stop(why)
		}
	}
	if done := events[len(events)-1]; last != why || done.Reason != reattn.DoneCancelled {
		t.Errorf("ended with %v, %v", last, done)
	}
	check(t, s.Append("Used again."))
	check(t, s.Read(background, nil))

	queue := must[*reattn.Queue](t)(tiny().NewQueue())
	request := generate(t, s, math.MaxInt64)
	defer request.Close()
	check(t, queue.Add(request, 5))
	brief, stopBrief := context.WithTimeout(background, 30*time.Millisecond)
	defer stopBrief()
	for tagged, err := range queue.Events(brief) {
		last = err
		if err == nil && tagged.Tag != 5 {
			t.Errorf("the tag is %d", tagged.Tag)
		}
	}
	if !errors.Is(last, context.DeadlineExceeded) {
		t.Errorf("the queue gave %v", last)
	}
	must[reattn.Tagged](t)(queue.Next(background)) // nothing was cancelled
}

// The library is opened once in a process, so that other places are tried in other ones.
func TestWhereTheLibraryIsLookedFor(t *testing.T) {
	if os.Getenv("REATTN_TEST_CHILD") != "" {
		if carried := os.Getenv("REATTN_TEST_BUNDLED"); carried != "" {
			reattn.Bundle(must[[]byte](t)(os.ReadFile(carried)))
		}
		_, err := reattn.Version()
		if err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(3)
		}
		os.Exit(0)
	}
	child := func(program, library string) (string, error) {
		command := exec.Command(program, "-test.run", "^TestWhereTheLibraryIsLookedFor$")
		command.Env = append(os.Environ(), "REATTN_TEST_CHILD=1", "REATTN_LIBRARY="+library, "LD_LIBRARY_PATH=")
		out, err := command.CombinedOutput()
		return string(out), err
	}
	self := must[string](t)(os.Executable())
	soname := fmt.Sprintf("libreattn.so.%d", must[int](t)(reattn.ABIVersion()))
	folder := t.TempDir()
	out, err := child(self, filepath.Join(folder, "nowhere.so"))
	if err == nil || !strings.Contains(out, "It was looked for in\n  - REATTN_LIBRARY: ") || !strings.Contains(out, "nowhere.so") {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat("/usr/local/lib/" + soname); err != nil {
		out, err = child(self, "")
		for _, place := range []string{"REATTN_LIBRARY: not set", "beside the program: ", "inside the program: Bundle was given none", "the system's folders: "} {
			if err == nil || !strings.Contains(out, place) {
				t.Errorf("%v: %s", err, out)
			}
		}
	}
	// Beside the program, and in lib beside its folder.
	library := os.Getenv("REATTN_LIBRARY")
	if info, err := os.Stat(library); err == nil && info.IsDir() {
		library = filepath.Join(library, soname)
	}
	if library == "" {
		t.Skip("REATTN_LIBRARY does not say where a library is")
	}
	library = must[string](t)(filepath.EvalSymlinks(library))
	// Inside the program; nothing is left of the file that is made of it.
	t.Setenv("REATTN_TEST_BUNDLED", library)
	t.Setenv("TMPDIR", folder)
	if out, err := child(self, ""); err != nil {
		t.Errorf("carried: %v: %s", err, out)
	}
	if left := must[[]os.DirEntry](t)(os.ReadDir(folder)); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	damaged := filepath.Join(folder, "damaged")
	check(t, os.WriteFile(damaged, []byte("no library"), 0o600))
	t.Setenv("REATTN_TEST_BUNDLED", damaged)
	if out, err := child(self, ""); err != nil && !strings.Contains(out, "inside the program: ") {
		t.Errorf("damaged: %v: %s", err, out)
	}
	t.Setenv("REATTN_TEST_BUNDLED", "")
	for _, name := range []string{"bin", "lib"} {
		root := t.TempDir()
		program := filepath.Join(root, "bin", "program")
		check(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
		check(t, os.MkdirAll(filepath.Join(root, "lib"), 0o755))
		check(t, os.Link(self, program))
		check(t, os.Symlink(library, filepath.Join(root, name, soname)))
		if out, err := child(program, ""); err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
	}
}

func TestTheMachineAndTheLibraryDescribeThemselves(t *testing.T) {
	if version := must[string](t)(reattn.Version()); strings.Count(version, ".") != 2 {
		t.Errorf("version %s", version)
	}
	devices := must[[]reattn.DeviceInfo](t)(reattn.Devices())
	if devices[0].Device != reattn.DeviceCPU || devices[0].Name == "" || devices[0].Threads < 1 {
		t.Errorf("%+v", devices)
	}
	if text := must[string](t)(reattn.Diagnose()); !strings.HasPrefix(text, "CPU: ") {
		t.Error(text)
	}
	if err := reattn.LoadBackend("no/such/plugin.so"); !errors.Is(err, reattn.ErrNoDevice) && !errors.Is(err, reattn.ErrBusy) {
		t.Errorf("gave %v", err)
	}
	model := must[*reattn.Model](t)(reattn.Open(background, tinyPath(), nil))
	check(t, model.Close())
	said, sequence := false, uint64(0)
	for message := range reattn.LogMessages() {
		said = said || strings.HasPrefix(message.Text, "device AUTO chose ")
		if message.Sequence <= sequence {
			t.Errorf("message %d after %d", message.Sequence, sequence)
		}
		sequence = message.Sequence
	}
	if !said {
		t.Error("nothing about what AUTO chose")
	}
}
