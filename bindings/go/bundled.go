package reattn

import (
	"os"
	"path/filepath"
)

var bundled []byte // under library's lock

// Bundle has the program carry the library: contents is the file libreattn.so, as //go:embed gives it, and is not changed
// afterwards. It is used where neither Load nor REATTN_LIBRARY names another and none lies beside the program. To be called by
// an init function, such as that of the module reattn.org/reattn/natives.
func Bundle(contents []byte) {
	library.Lock()
	defer library.Unlock()
	bundled = contents
}

// openBundled opens the library that the program carries, by way of a folder that only this user can enter and that is gone
// afterwards: what is loaded needs no file. Or it adds to tried what is wrong.
func openBundled(tried []string) ([]string, bool) {
	const what = "inside the program"
	if bundled == nil {
		return append(tried, what+": Bundle was given none"), false
	}
	folder, err := os.MkdirTemp("", "reattn-")
	if err != nil {
		return append(tried, what+": "+err.Error()), false
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, libraryName)
	if err := os.WriteFile(file, bundled, 0o600); err != nil {
		return append(tried, what+": "+err.Error()), false
	}
	return open(tried, what, []string{file})
}
