package acl

import (
	"fmt"
	"slices"

	"gopkg.in/yaml.v3"
)

// What a file may hold once its aliases are written out. A megabyte of YAML
// without aliases stays below both.
const (
	maxNodes = 1 << 20
	maxDepth = 32
)

func wrong(n *yaml.Node, format string, args ...any) error {
	return &DecodeError{Line: max(n.Line, 1), Column: max(n.Column, 1), Reason: fmt.Sprintf(format, args...)}
}

// survey walks the whole file once, aliases written out, so that whoever reads
// it afterwards need not fear its size, its depth, an alias that holds itself or
// a tag with a meaning of its own. nodes counts down.
func survey(n *yaml.Node, depth int, nodes *int) error {
	if depth > maxDepth {
		return wrong(n, "nested more than %d levels deep", maxDepth)
	}
	if *nodes--; *nodes < 0 {
		return wrong(n, "aliases make the file too large: write out what you need")
	}
	switch n.Kind {
	case yaml.AliasNode:
		return survey(n.Alias, depth+1, nodes)
	case yaml.ScalarNode, yaml.SequenceNode, yaml.MappingNode:
		if !slices.Contains(plainTags, n.ShortTag()) {
			return wrong(n, "tags and merge keys are not understood: write the value itself, and put what begins with ! in quotes")
		}
	}
	for _, child := range n.Content {
		if err := survey(child, depth+1, nodes); err != nil {
			return err
		}
	}
	return nil
}

var plainTags = []string{"!!str", "!!int", "!!float", "!!bool", "!!null", "!!timestamp", "!!map", "!!seq"}

// resolve follows an alias; there is none of an alias.
func resolve(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func isText(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" }

// A pair is one key of a mapping and its value, aliases followed.
type pair struct {
	name       string
	key, value *yaml.Node
}

// mapping reads a mapping whose keys are single values, each there once. Its
// errors never repeat a key: it may be a token.
func mapping(n *yaml.Node, what string) ([]pair, error) {
	if n.Kind != yaml.MappingNode {
		return nil, wrong(n, "%s must be a mapping (KEY: VALUE lines)", what)
	}
	seen := make(map[string]int, len(n.Content)/2)
	pairs := make([]pair, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		if key.Kind != yaml.ScalarNode || isNull(key) || key.Value == "" {
			return nil, wrong(n.Content[i], "a key of %s must be one value that is not empty", what)
		}
		if first, twice := seen[key.Value]; twice {
			return nil, wrong(n.Content[i], "this key is in %s twice, first on line %d", what, first)
		}
		seen[key.Value] = n.Content[i].Line
		pairs = append(pairs, pair{key.Value, n.Content[i], resolve(n.Content[i+1])})
	}
	return pairs, nil
}

// text reads a value that must be text.
func text(p pair) (string, error) {
	if !isText(p.value) {
		return "", wrong(p.value, "%s must be text: put it in quotes", p.name)
	}
	return p.value.Value, nil
}
