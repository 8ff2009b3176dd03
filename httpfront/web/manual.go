package web

import (
	"bytes"
	"html/template"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"

	"patchwork/docs"
)

// A document is a page of the manual.
type document struct {
	Name  string // of its file, without .md
	Title string
	For   string // what it is for, in a line
	HTML  template.HTML

	source string
}

// reading is the order in which people want to read, and what each page is for.
// Pages that it does not name come last.
var reading = []struct{ name, purpose string }{
	{"http", "Every URL: queues, broadcasts, requests and answers, webhooks, streams"},
	{"ssh", "Every SSH command, private topics and who else may use them"},
	{"cli", "The patchwork client, for scripts and for hands"},
	{"files", "Send a file to somebody, checked, encrypted, and resumed when it breaks"},
	{"web", "What the pages of this relay do, and what they need of a proxy"},
	{"users", "Who may do what: tokens, keys and rules"},
	{"tunnels", "Reach machines behind a firewall, show a local web server to the world"},
	{"doctor", "Find what a proxy breaks, and get the configuration that mends it"},
	{"pipemgr", "Send the logs of Docker containers to a relay"},
	{"performance", "What was measured, and how"},
	{"decisions", "Why things are as they are"},
}

// documents are the manual's pages in the order of reading.
var documents = sync.OnceValue(func() []*document {
	names, err := fs.Glob(docs.Files, "*.md")
	if err != nil {
		panic(err) // the pattern is one
	}
	var all []*document
	for _, name := range names {
		source, err := docs.Files.ReadFile(name)
		if err != nil {
			panic(err) // the files are in the binary
		}
		first, _, _ := strings.Cut(string(source), "\n")
		d := &document{Name: strings.TrimSuffix(name, ".md"), Title: strings.TrimPrefix(first, "# "), source: string(source)}
		if i := place(d); i < len(reading) {
			d.For = reading[i].purpose
		}
		all = append(all, d)
	}
	slices.SortStableFunc(all, func(a, b *document) int { return place(a) - place(b) })
	return all
})

// place is where a page stands in the order of reading.
func place(d *document) int {
	for i, r := range reading {
		if r.name == d.Name {
			return i
		}
	}
	return len(reading)
}

// Manual makes the page of the manual with this name, or for "" the list of all;
// ok is false when there is none. Commands lead to the relay that shows them.
func Manual(name string, f Facts) (html []byte, policy string, ok bool, err error) {
	v := view{Facts: f, Page: Docs, Title: titles[Docs], Docs: documents()}
	if name != "" {
		i := 0
		for ; i < len(v.Docs) && v.Docs[i].Name != name; i++ {
		}
		if i == len(v.Docs) {
			return nil, "", false, nil
		}
		d := *v.Docs[i]
		if d.HTML, err = markup(here(d.source, f)); err != nil {
			return nil, "", false, err
		}
		v.Doc, v.Title = &d, d.Title
	}
	html, policy, err = render(v)
	return html, policy, true, err
}

// here has the commands of a page lead to the relay of f. Only fenced blocks are
// commands; what the text says of localhost, such as a default, stays true.
func here(source string, f Facts) string {
	address := f.Address()
	if f.Secure() {
		address = f.Base
	}
	words := []string{"http://localhost:8080", f.Base, "ws://localhost:8080", f.WebSocket(), "localhost:8080", address}
	if f.SSH.Port != 0 {
		words = append(words, "ssh -p 2222 localhost", f.Command())
	}
	replace := strings.NewReplacer(words...)
	var b strings.Builder
	inside := false
	for line := range strings.Lines(source) {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = !inside
		case inside:
			line = replace.Replace(line)
		}
		b.WriteString(line)
	}
	return b.String()
}

var markdown = goldmark.New(
	goldmark.WithExtensions(extension.NewTable(extension.WithTableCellAlignMethod(extension.TableCellAlignAttribute))),
	goldmark.WithParserOptions(parser.WithAutoHeadingID(), parser.WithASTTransformers(util.Prioritized(links{}, 100))),
)

// scrolls lets what is wider than a phone be scrolled with the keyboard. A header
// that says nothing is none.
var scrolls = strings.NewReplacer(
	"<pre>", `<pre tabindex="0">`, "<th></th>", "<td></td>",
	"<table>", `<div class="scroll" tabindex="0" role="group" aria-label="Table"><table>`, "</table>", "</table></div>",
)

// markup renders our own Markdown; raw HTML in it is left out.
func markup(source string) (template.HTML, error) {
	var b bytes.Buffer
	if err := markdown.Convert([]byte(source), &b); err != nil {
		return "", err
	}
	return template.HTML(scrolls.Replace(b.String())), nil
}

// links lead from page to page of the manual as the relay serves them.
type links struct{}

func (links) Transform(doc *ast.Document, _ text.Reader, _ parser.Context) {
	ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) { //nolint:errcheck // the function has no errors
		if l, ok := n.(*ast.Link); ok && entering {
			file, fragment, _ := strings.Cut(string(l.Destination), "#")
			if name, ok := strings.CutSuffix(file, ".md"); ok && !strings.Contains(name, ":") {
				to := "/docs/" + name
				if strings.HasPrefix(name, "../") {
					to = "/"
				}
				if fragment != "" {
					to += "#" + fragment
				}
				l.Destination = []byte(to)
			}
		}
		return ast.WalkContinue, nil
	})
}
