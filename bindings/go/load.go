package reattn

/*
#cgo CFLAGS: -std=c99 -D_GNU_SOURCE -O2
#cgo LDFLAGS: -ldl
#include <stdlib.h>
#include "dl.h"
*/
import "C"

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unsafe"
)

//go:generate go run ./internal/generate ../../capi/include/reattn/reattn.h .

// libraryName is the library's soname: it changes with the ABI.
var libraryName = fmt.Sprintf("libreattn.so.%d", C.REATTN_ABI_VERSION)

// LoadError says that the library was not found or could not be used, and where it was looked for.
type LoadError struct {
	Tried []string // a line for each place
}

func (e *LoadError) Error() string {
	return "libreattn was not found. It was looked for in\n  - " + strings.Join(e.Tried, "\n  - ")
}

var library struct {
	sync.Mutex
	loaded bool
	path   string
}

// Load opens the library at path, the file or a folder that holds it. Without this call it is looked for, when it is first
// needed,
//
//   - where the environment variable REATTN_LIBRARY says, which names the file or a folder too,
//   - in the folder of the running program, and in lib beside that,
//   - inside the program, where Bundle was given it,
//   - where the system looks for libraries.
//
// A library stays for as long as the process; a second call does nothing when it names the same path, and fails otherwise.
func Load(path string) error {
	library.Lock()
	defer library.Unlock()
	if library.loaded {
		if path == library.path {
			return nil
		}
		return &LoadError{[]string{fmt.Sprintf("%s: another one is in use, %s", path, library.path)}}
	}
	tried, ok := open(nil, path, candidates(path))
	if !ok {
		return &LoadError{tried}
	}
	library.path = path
	return nil
}

// load opens the library where nobody has yet.
func load() error {
	library.Lock()
	defer library.Unlock()
	if library.loaded {
		return nil
	}
	var tried []string
	if path := os.Getenv("REATTN_LIBRARY"); path != "" {
		// What was asked for by name is not replaced by something else.
		tried, ok := open(tried, "REATTN_LIBRARY", candidates(path))
		if !ok {
			return &LoadError{tried}
		}
		return nil
	}
	tried = append(tried, "REATTN_LIBRARY: not set")
	if program, err := os.Executable(); err == nil {
		folder := filepath.Dir(program)
		for _, folder := range []string{folder, filepath.Join(filepath.Dir(folder), "lib")} {
			path := filepath.Join(folder, libraryName)
			if _, err := os.Stat(path); err != nil {
				tried = append(tried, "beside the program: "+err.Error())
				continue
			}
			var ok bool
			if tried, ok = open(tried, "beside the program", []string{path}); ok {
				return nil
			}
		}
	}
	tried, ok := openBundled(tried)
	if ok {
		return nil
	}
	tried, ok = open(tried, "the system's folders", []string{libraryName})
	if !ok {
		return &LoadError{tried}
	}
	return nil
}

// candidates are the files that a path may mean.
func candidates(path string) []string {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		return []string{filepath.Join(path, libraryName), filepath.Join(path, "libreattn.so")}
	}
	return []string{path}
}

// open opens the first file that is a library of this ABI, or adds to tried what is wrong with each.
func open(tried []string, what string, files []string) ([]string, bool) {
	for _, file := range files {
		path := C.CString(file)
		message := C.dl_open(path)
		C.free(unsafe.Pointer(path))
		if message != nil {
			tried = append(tried, what+": "+C.GoString(message))
			continue
		}
		if abi := int(C.dl_abi_version()); abi != C.REATTN_ABI_VERSION {
			tried = append(tried, fmt.Sprintf("%s: %s has ABI %d, not %d", what, file, abi, C.REATTN_ABI_VERSION))
			continue
		}
		library.loaded, library.path = true, file
		return tried, true
	}
	return tried, false
}

// Version is "major.minor.patch" of the library that was loaded.
func Version() (string, error) {
	if err := load(); err != nil {
		return "", err
	}
	return C.GoString(C.dl_version()), nil
}

// ABIVersion is the ABI of the library that was loaded: the number in its soname.
func ABIVersion() (int, error) {
	if err := load(); err != nil {
		return 0, err
	}
	return int(C.dl_abi_version()), nil
}
