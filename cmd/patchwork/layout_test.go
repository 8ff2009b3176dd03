package main

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The rooms of the house, and which of the others each may enter. A package
// below a room belongs to it, but for those of the command line.
var mayImport = map[string][]string{
	"broker":    {},
	"tunnel":    {},
	"notify":    {},
	"acl":       {"notify"}, // one strict decode covers the whole user file
	"docs":      {},
	"httpfront": {"broker", "acl", "tunnel", "notify", "docs"}, // it shows the manual
	"sshfront":  {"broker", "acl", "tunnel"},
	"deploy":    {},
	"cmd":       {"broker", "acl", "tunnel", "notify", "httpfront", "sshfront", "cmdline", "client", "transfer", "doctor", "bench", "interrupt"},
	"interrupt": {},
	"pipemgr":   {"interrupt"}, // a client like any other: it knows the relay by SSH alone

	// Clients know the relay by its URLs alone.
	"cmdline":  {},
	"client":   {"cmdline"},
	"transfer": {"client", "cmdline"},
	"doctor":   {"client", "cmdline"},
	"bench":    {"client", "cmdline"},
}

// TestRoomsImportOnlyWhatTheyMay looks at tests as well: a test that needs
// another room is a test of cmd, to which those of its client commands belong.
func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	const imports = `{{.ImportPath}} package{{range .Imports}} {{.}}{{end}}
{{.ImportPath}} test{{range .TestImports}} {{.}}{{end}}{{range .XTestImports}} {{.}}{{end}}`
	list := exec.Command("go", "list", "-f", imports, "./...")
	list.Dir = filepath.Join("..", "..")
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		from := room(words[0])
		if words[1] == "test" && strings.HasPrefix(words[0], "patchwork/cmd/patchwork/") {
			from = "cmd"
		}
		allowed, known := mayImport[from]
		if !known {
			t.Errorf("%s: there is no room %q in the plan", words[0], from)
			continue
		}
		for _, imported := range words[2:] {
			to := room(imported)
			if to != "" && to != from && !slices.Contains(allowed, to) {
				t.Errorf("%s imports %s: %s may not see %s", words[0], imported, from, to)
			}
		}
	}
}

// room is the room that a package of this module belongs to, "" for others. Of those
// under cmd each is a room of its own, and the relay is cmd.
func room(importPath string) string {
	inside, ok := strings.CutPrefix(importPath, "patchwork/")
	if !ok {
		return ""
	}
	if below, ok := strings.CutPrefix(inside, "cmd/"); ok && below != "patchwork" {
		return path.Base(below)
	}
	name, _, _ := strings.Cut(inside, "/")
	return name
}

// TestTopLevelHoldsOnlyRooms keeps out the drawers in which everything lands:
// internal/utils, pkg, common, types.
func TestTopLevelHoldsOnlyRooms(t *testing.T) {
	allowed := []string{
		"cmd", "broker", "sshfront", "httpfront", "tunnel", "acl", "notify", "deploy", "docs",
		"tools", // the linter's own go.mod, so that the product's stays short
		"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "CHANGELOG.md", "CONTRIBUTING.md",
		"bin", // made by 'make build', not kept
	}
	entries, err := os.ReadDir(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(allowed, e.Name()) {
			t.Errorf("%s is not a room of the house; see docs for where things live", e.Name())
		}
	}
}
