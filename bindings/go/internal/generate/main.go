// Command generate makes dl.h and dl.c out of reattn.h: its constants and structs, and for each function of the library one
// that calls it through a pointer, which load.go fills in when the library is opened. Handles are numbers there, as they are
// for the library.
//
//	go run ./internal/generate HEADER FOLDER
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

type parameter struct{ kind, name string }

type function struct {
	result, name string
	parameters   []parameter
}

var (
	comments  = regexp.MustCompile(`(?s)/\*.*?\*/`)
	prototype = regexp.MustCompile(`(?s)REATTN_API\s+([\w\s*]+?)\b(reattn_\w+)\(([^)]*)\);`)
	handles   = regexp.MustCompile(`^(?:const )?reattn_(?:error|model|session|cache|request|queue)\*`)
	guards    = regexp.MustCompile(`(?m)^#(?:if|else|endif|include|define REATTN_(?:API|REATTN_H)).*$|^extern "C" \{$|^\}$`)
	blank     = regexp.MustCompile(`\s*\n(?:\s*\n)*`)
	spaces    = regexp.MustCompile(`\s+`)
)

func parse(header string) []function {
	var out []function
	for _, match := range prototype.FindAllStringSubmatch(comments.ReplaceAllString(header, ""), -1) {
		f := function{result: strings.TrimSpace(match[1]), name: strings.TrimPrefix(match[2], "reattn_")}
		for _, text := range strings.Split(match[3], ",") {
			text = strings.TrimSpace(spaces.ReplaceAllString(text, " "))
			if text == "void" {
				continue
			}
			at := strings.LastIndexAny(text, " *") + 1
			f.parameters = append(f.parameters, parameter{strings.TrimSpace(text[:at]), text[at:]})
		}
		out = append(out, f)
	}
	return out
}

// signature is the function's head in dl.h and dl.c.
func (f function) signature() string {
	var list []string
	for _, p := range f.parameters {
		kind := handles.ReplaceAllString(p.kind, "uintptr_t")
		list = append(list, kind+" "+p.name)
	}
	if len(list) == 0 {
		list = []string{"void"}
	}
	return fmt.Sprintf("%s dl_%s(%s)", f.result, f.name, strings.Join(list, ", "))
}

// body calls the library's function through its pointer.
func (f function) body() string {
	var list []string
	for _, p := range f.parameters {
		if handles.MatchString(p.kind) {
			list = append(list, fmt.Sprintf("(%s)%s", p.kind, p.name))
		} else {
			list = append(list, p.name)
		}
	}
	call := fmt.Sprintf("api.%s(%s);", f.name, strings.Join(list, ", "))
	if f.result == "void" {
		return call
	}
	return "return " + call
}

func (f function) pointer() string {
	var list []string
	for _, p := range f.parameters {
		list = append(list, p.kind)
	}
	if len(list) == 0 {
		list = []string{"void"}
	}
	return fmt.Sprintf("%s (*%s)(%s);", f.result, f.name, strings.Join(list, ", "))
}

const warning = "/* Made by internal/generate out of reattn.h: do not edit. */\n"

// types are the header's constants and structs, without the comments.
func types(header string) string {
	text := prototype.ReplaceAllString(comments.ReplaceAllString(header, ""), "")
	text = guards.ReplaceAllString(text, "")
	return blank.ReplaceAllString(strings.TrimSpace(text), "\n") + "\n\n"
}

func headerFile(header string, functions []function) string {
	var b strings.Builder
	b.WriteString(warning)
	b.WriteString("#pragma once\n#include <stddef.h>\n#include <stdint.h>\n\n")
	b.WriteString(types(header))
	b.WriteString("/* Opens the library at `path` and looks up its functions; NULL, or what is wrong. */\n")
	b.WriteString("const char* dl_open(const char* path);\n\n")
	for _, f := range functions {
		b.WriteString(f.signature() + ";\n")
	}
	return b.String()
}

func sourceFile(functions []function) string {
	var b strings.Builder
	b.WriteString(warning)
	b.WriteString("#include \"dl.h\"\n\n#include <dlfcn.h>\n\nstatic struct {\n")
	for _, f := range functions {
		b.WriteString("  " + f.pointer() + "\n")
	}
	b.WriteString("} api;\n\nstatic const char* const names[] = {\n")
	for _, f := range functions {
		b.WriteString("  \"reattn_" + f.name + "\",\n")
	}
	b.WriteString("};\n\n")
	b.WriteString(`const char* dl_open(const char* path) {
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) return dlerror();
  void** slot = (void**)&api;
  for (unsigned i = 0; i < sizeof names / sizeof *names; ++i) {
    slot[i] = dlsym(library, names[i]);
    if (!slot[i]) return dlerror();
  }
  return 0;
}
`)
	for _, f := range functions {
		fmt.Fprintf(&b, "\n%s {\n  %s\n}\n", f.signature(), f.body())
	}
	return b.String()
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: generate HEADER FOLDER")
		os.Exit(2)
	}
	header, err := os.ReadFile(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	functions := parse(string(header))
	for name, content := range map[string]string{
		"dl.h": headerFile(string(header), functions),
		"dl.c": sourceFile(functions),
	} {
		if err := os.WriteFile(filepath.Join(os.Args[2], name), []byte(content), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
