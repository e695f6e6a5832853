package reattn_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What a checkout holds twice is the same.

func TestGeneratedFilesAreThoseOfTheHeader(t *testing.T) {
	header := filepath.Join("..", "..", "capi", "include", "reattn", "reattn.h")
	if _, err := os.Stat(header); err != nil {
		t.Skip("outside the tree: there is no header to compare with")
	}
	folder := t.TempDir()
	if out, err := exec.Command("go", "run", "./internal/generate", header, folder).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, name := range []string{"dl.h", "dl.c"} {
		fresh := must[[]byte](t)(os.ReadFile(filepath.Join(folder, name)))
		committed := must[[]byte](t)(os.ReadFile(name))
		if string(fresh) != string(committed) {
			t.Errorf("%s is not what the header makes of it: run go generate", name)
		}
	}
}

func TestReadmeShowsTheProgramThatIsCompiled(t *testing.T) {
	readme := string(must[[]byte](t)(os.ReadFile("README.md")))
	program := string(must[[]byte](t)(os.ReadFile(filepath.Join("internal", "readme", "main.go"))))
	if !strings.Contains(readme, "```go\n"+program+"```\n") {
		t.Error("README.md shows another program than internal/readme/main.go")
	}
}
