package web

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheKeptBuildIsWhatTheSourcesGive builds the scripts anew. Where it fails,
// 'make web' was forgotten, or somebody changed what is built.
func TestTheKeptBuildIsWhatTheSourcesGive(t *testing.T) {
	built := t.TempDir()
	if out, err := exec.Command(filepath.Join("..", "..", ".ci", "web.sh"), built).CombinedOutput(); err != nil {
		t.Fatalf("%v; it needs node and npm, which 'make test' installs\n%s", err, out)
	}
	names := map[string]bool{}
	for _, dir := range []string{built, "assets"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names[e.Name()] = true
		}
	}
	for name := range names {
		want, werr := os.ReadFile(filepath.Join(built, name))
		got, gerr := os.ReadFile(filepath.Join("assets", name))
		if werr != nil || gerr != nil || !bytes.Equal(got, want) {
			t.Errorf("assets/%s is not what the sources give; run 'make web' and commit what it changes", name)
		}
	}
}

// TestThePagesAreSmall holds all that pages load, but the terminal emulator, to 300
// KiB, uncompressed.
func TestThePagesAreSmall(t *testing.T) {
	total := 0
	for name, a := range assets() {
		if !strings.HasPrefix(name, "xterm.") {
			total += len(a.Body)
		}
	}
	for p := range titles {
		html, _, err := Render(p, Facts{Base: "https://relay.example", Host: "relay.example"})
		if err != nil {
			t.Fatal(err)
		}
		total += len(html)
	}
	t.Logf("%d KiB", total>>10)
	if total > 300<<10 {
		t.Errorf("the pages without xterm are %d KiB, more than 300", total>>10)
	}
}

// TestPagesLoadOnlyWhatThereIs looks for what pages refer to among the assets, and
// for addresses of others in what they load.
func TestPagesLoadOnlyWhatThereIs(t *testing.T) {
	refers := regexp.MustCompile(`/assets/([\w.-]+)`)
	for p := range titles {
		html, _, err := Render(p, Facts{Base: "https://relay.example", Host: "relay.example", SSH: SSH{2222, "SHA256:x"}})
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range refers.FindAllSubmatch(html, -1) {
			if _, ok := Find(string(m[1])); !ok {
				t.Errorf("%s refers to %s, which there is not", p, m[0])
			}
		}
		if inline := regexp.MustCompile(`(?i)<style|<script>| style=| on\w+=|<script[^>]*>[^<]`).Find(html); inline != nil {
			t.Errorf("%s has %q inline", p, inline)
		}
	}
	for name, a := range assets() {
		for _, m := range refers.FindAllSubmatch(a.Body, -1) {
			if _, ok := Find(string(m[1])); !ok {
				t.Errorf("%s refers to %s, which there is not", name, m[0])
			}
		}
		if strings.HasSuffix(name, ".css") && bytes.Contains(a.Body, []byte("url(")) {
			t.Errorf("%s loads something", name)
		}
	}
}

// TestEveryPageOfTheManualIsShown renders each, with links that lead to another.
func TestEveryPageOfTheManualIsShown(t *testing.T) {
	links := regexp.MustCompile(`href="(/docs/([^"#]*)|[^"]*\.md)(#[^"]*)?"`)
	for _, d := range documents() {
		if d.For == "" {
			t.Errorf("the list of all pages does not say what %s is for", d.Name)
		}
		html, _, ok, err := Manual(d.Name, Facts{Base: "https://relay.example", Host: "relay.example", SSH: SSH{22, "SHA256:x"}})
		if err != nil || !ok {
			t.Fatalf("%s: %v, %v", d.Name, ok, err)
		}
		for _, m := range links.FindAllSubmatch(html, -1) {
			if _, _, ok, _ := Manual(string(m[2]), Facts{}); !ok || len(m[2]) == 0 {
				t.Errorf("%s leads to %s, which there is not", d.Name, m[1])
			}
		}
		for _, block := range regexp.MustCompile(`(?s)<pre.*?</pre>`).FindAllString(string(html), -1) {
			if strings.Contains(block, "localhost:8080") || strings.Contains(block, "ssh -p 2222 localhost") {
				t.Errorf("%s has a command that leads to localhost: %s", d.Name, block)
			}
		}
	}
	if _, _, ok, _ := Manual("../secret", Facts{}); ok {
		t.Error("there is a page for what is no page")
	}
}
