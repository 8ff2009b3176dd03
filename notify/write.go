package notify

import (
	"strconv"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// style is how a service wants the parts of a text marked.
type style interface {
	text(s string) string                    // ordinary text, escaped as the service needs it
	mark(tag atom.Atom, start bool) string   // what stands for <b>, </b>, <code> …
	link(href string) (before, after string) // around the text of a link
}

// write turns sanitised HTML into a text of a service's own style. It goes over
// the tags one by one and builds no tree, so that deep nesting costs nothing.
func write(safe string, s style) string {
	w := &writer{style: s}
	for tokens := html.NewTokenizer(strings.NewReader(safe)); tokens.Next() != html.ErrorToken; {
		token := tokens.Token()
		switch token.Type {
		case html.TextToken:
			w.text(token.Data)
		case html.StartTagToken, html.SelfClosingTagToken:
			w.start(token)
		case html.EndTagToken:
			w.end(token.DataAtom)
		}
	}
	for len(w.open) > 0 { // what the sender left open
		w.end(w.open[len(w.open)-1].tag)
	}
	return strings.TrimSpace(w.out.String())
}

type writer struct {
	style style
	out   strings.Builder
	open  []opened // marks and links to be closed, innermost last
	lists []int    // per open list: the last number, -1 for a list without numbers
	pre   int      // open <pre>: spaces count
	lines int      // line ends wanted before the next text
	space bool     // a space wanted before the next text
	fresh bool     // a bullet was just written: its text stays on its line
}

type opened struct {
	tag   atom.Atom
	after string
}

const maxOpen = 64 // deeper marks are dropped: no service shows them

func (w *writer) start(token html.Token) {
	switch token.DataAtom {
	case atom.Br:
		w.lines++
	case atom.P:
		if !w.fresh {
			w.atLeast(2)
		}
	case atom.Blockquote, atom.Table, atom.Hr:
		w.atLeast(2)
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.atLeast(2)
		w.push(atom.B, w.style.mark(atom.B, true), w.style.mark(atom.B, false))
	case atom.Tr:
		w.atLeast(1)
	case atom.Td, atom.Th:
		w.space = true
	case atom.Ul:
		w.atLeast(1)
		w.lists = append(w.lists, -1)
	case atom.Ol:
		w.atLeast(1)
		w.lists = append(w.lists, 0)
	case atom.Li:
		w.atLeast(1)
		w.item()
	case atom.Pre:
		w.atLeast(2)
		w.pre++
		w.push(atom.Pre, w.style.mark(atom.Pre, true), w.style.mark(atom.Pre, false))
	case atom.B, atom.Strong, atom.I, atom.Em, atom.U, atom.Ins, atom.S, atom.Strike, atom.Del, atom.Code:
		if token.DataAtom != atom.Code || w.pre == 0 {
			tag := sameAs(token.DataAtom)
			w.push(tag, w.style.mark(tag, true), w.style.mark(tag, false))
		}
	case atom.A:
		for _, attr := range token.Attr {
			if attr.Key == "href" {
				before, after := w.style.link(attr.Val)
				w.push(atom.A, before, after)
			}
		}
	}
}

func (w *writer) end(tag atom.Atom) {
	switch tag {
	case atom.P, atom.Blockquote, atom.Table:
		w.atLeast(2)
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		w.pop(atom.B)
		w.atLeast(2)
	case atom.Li, atom.Tr:
		w.atLeast(1)
	case atom.Ul, atom.Ol:
		w.atLeast(1)
		if len(w.lists) > 0 {
			w.lists = w.lists[:len(w.lists)-1]
		}
	case atom.Pre:
		w.pre = max(0, w.pre-1)
		w.pop(atom.Pre)
		w.atLeast(2)
	default:
		w.pop(sameAs(tag))
	}
}

// sameAs maps the two tags of one meaning to one.
func sameAs(tag atom.Atom) atom.Atom {
	switch tag {
	case atom.Strong:
		return atom.B
	case atom.Em:
		return atom.I
	case atom.Ins:
		return atom.U
	case atom.Strike, atom.Del:
		return atom.S
	}
	return tag
}

// push writes a mark and remembers how it is closed. An <a> in an <a> and a <b>
// in a <b> are one, and in code nothing is marked.
func (w *writer) push(tag atom.Atom, before, after string) {
	if len(w.open) >= maxOpen || w.inside(tag) || w.inside(atom.Code) || w.inside(atom.Pre) {
		return
	}
	w.flush()
	w.out.WriteString(before)
	w.open = append(w.open, opened{tag, after})
}

func (w *writer) inside(tag atom.Atom) bool {
	for _, o := range w.open {
		if o.tag == tag {
			return true
		}
	}
	return false
}

// pop closes a mark, and first those that were opened in it, so that what comes
// out is always well nested.
func (w *writer) pop(tag atom.Atom) {
	if !w.inside(tag) {
		return
	}
	for {
		last := w.open[len(w.open)-1]
		w.open = w.open[:len(w.open)-1]
		w.out.WriteString(last.after)
		if last.tag == tag {
			return
		}
	}
}

func (w *writer) item() {
	bullet := "• "
	depth := len(w.lists)
	if depth > 0 && w.lists[depth-1] >= 0 {
		w.lists[depth-1]++
		bullet = strconv.Itoa(w.lists[depth-1]) + ". "
	}
	w.flush()
	w.out.WriteString(strings.Repeat("  ", min(max(0, depth-1), 8)) + w.style.text(bullet))
	w.fresh = true
}

func (w *writer) text(s string) {
	if w.pre > 0 {
		w.flush()
		w.out.WriteString(w.style.text(s))
		return
	}
	words := strings.Fields(s)
	if len(words) == 0 {
		w.space = w.space || s != ""
		return
	}
	w.space = w.space || strings.TrimLeft(s, " \t\r\n") != s
	w.flush()
	w.out.WriteString(w.style.text(strings.Join(words, " ")))
	w.space = strings.TrimRight(s, " \t\r\n") != s
}

func (w *writer) atLeast(lines int) { w.lines = max(w.lines, lines) }

// flush writes the line ends and spaces that were wanted, none at the start.
func (w *writer) flush() {
	switch {
	case w.out.Len() == 0:
	case w.lines > 0:
		w.out.WriteString(strings.Repeat("\n", min(w.lines, 2)))
	case w.space:
		w.out.WriteString(" ")
	}
	w.lines, w.space, w.fresh = 0, false, false
}
