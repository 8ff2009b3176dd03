package acl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

// MaxDocument is the largest config.yaml in bytes.
const MaxDocument = 1 << 20

// parse makes the one node of a YAML file; nil is a file that says nothing.
func parse(data []byte) (root *yaml.Node, err error) {
	if len(data) > MaxDocument {
		line, column := position(data[:MaxDocument])
		return nil, &DecodeError{line, column, "the file is larger than 1 MiB"}
	}
	if err := checkText(data); err != nil {
		return nil, err
	}
	// The reader of YAML is somebody else's and the file is anybody's.
	defer func() {
		if p := recover(); p != nil {
			root, err = nil, &DecodeError{1, 1, "this is not YAML that can be read"}
		}
	}()
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	switch err := d.Decode(&document); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, syntaxError(data, err)
	}
	switch err := d.Decode(&more); {
	case err == nil:
		return nil, wrong(&more, "there is a second document: take the --- out")
	case !errors.Is(err, io.EOF):
		return nil, syntaxError(data, err)
	}
	nodes := maxNodes
	if err := survey(&document, 0, &nodes); err != nil {
		return nil, err
	}
	root = resolve(document.Content[0])
	if isNull(root) {
		return nil, nil
	}
	return root, nil
}

// checkText finds what the reader of YAML would refuse without a place, or take
// for another encoding.
func checkText(data []byte) error {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			line, column := position(data[:i])
			return &DecodeError{line, column, "this is not UTF-8 text"}
		case unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t':
			line, column := position(data[:i])
			return &DecodeError{line, column, "control characters are not allowed"}
		}
		i += size
	}
	return nil
}

// position is where the byte after before stands.
func position(before []byte) (line, column int) {
	last := bytes.LastIndexByte(before, '\n')
	return bytes.Count(before, []byte("\n")) + 1, utf8.RuneCount(before[last+1:]) + 1
}

var (
	yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	// The reader of YAML counts lines from 0 in these.
	fromZero = regexp.MustCompile(`^(did not find expected (key|node content|<|'|,)|found undefined tag handle|found duplicate %|found incompatible)`)
	// An asterisk or exclamation mark that begins a pattern, unquoted, is one of these.
	noAnchor = regexp.MustCompile(`^unknown anchor '(.*)' referenced`)
	unquoted = regexp.MustCompile(`expected (alphabetic or numeric|whitespace or line break)|unknown anchor|undefined tag`)
)

// syntaxError gives the words of the reader of YAML, which knows lines only, a
// column: where the line begins, or its tab.
func syntaxError(data []byte, err error) error {
	found := yamlLine.FindStringSubmatch(err.Error())
	reason, at := err.Error(), 1
	if found != nil {
		reason = reason[len(found[0]):]
		if n, convErr := strconv.Atoi(found[1]); convErr == nil {
			at = n
		}
		if fromZero.MatchString(reason) && found[1] != "" {
			at++
		}
		if unquoted.MatchString(reason) {
			reason += " (a pattern that begins with * or ! needs quotes)"
		}
	}
	if found := noAnchor.FindStringSubmatch(reason); found != nil { // this comes without a line
		if i := bytes.Index(data, []byte("*"+found[1])); i >= 0 {
			line, column := position(data[:i])
			return &DecodeError{line, column, "this is not YAML: a pattern that begins with * needs quotes"}
		}
	}
	lines := strings.Split(string(data), "\n")
	at = min(max(at, 1), len(lines))
	for i, line := range lines[:min(at+1, len(lines))] {
		indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
		if tab := strings.IndexByte(indent, '\t'); tab >= 0 && indent != line {
			return &DecodeError{i + 1, tab + 1, "a tab cannot indent: use spaces"}
		}
	}
	line := lines[at-1]
	column := len(line) - len(strings.TrimLeft(line, " ")) + 1
	return &DecodeError{at, column, fmt.Sprintf("this is not YAML: %.200s", strings.ReplaceAll(reason, "\n", " "))}
}
