package notify

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// MaxTargets is how many targets one user may have.
const MaxTargets = 16

// Config is where one user's notifications go. It is read-only, and may be used
// by any number of goroutines. The zero Config has no targets. However it is
// printed, logged or marshalled, its secrets read "[secret]".
type Config struct {
	// A function is the one thing that nobody looks into: fmt prints a Config in
	// somebody's unexported field without asking its methods.
	held func() []*target
}

func (c Config) targets() []*target {
	if c.held == nil {
		return nil
	}
	return c.held()
}

// target is one service with its settings.
type target struct {
	name    string
	typ     string // as the user wrote it: an alias stays one
	backend *backend
	values  values
	courier courier
	redact  redactor
	id      targetID
}

// targetID is the same for the same service with the same settings, also after
// the file was read again.
type targetID [sha256.Size]byte

// Empty says whether no target is configured.
func (c Config) Empty() bool { return len(c.targets()) == 0 }

// Names are those of the targets, as `to` takes them, in the file's order.
func (c Config) Names() []string {
	var names []string
	for _, t := range c.targets() {
		names = append(names, t.name)
	}
	return names
}

// pick is the targets that `to` names, all of them if it is empty.
func (c Config) pick(to string) ([]*target, error) {
	wanted := splitList(to)
	if len(wanted) == 0 {
		return c.targets(), nil
	}
	for _, name := range wanted {
		if !slices.Contains(c.Names(), name) {
			return nil, bad("to", "no target %q; there are %s", clip(name, 80), strings.Join(c.Names(), ", "))
		}
	}
	var picked []*target
	for _, t := range c.targets() {
		if slices.Contains(wanted, t.name) {
			picked = append(picked, t)
		}
	}
	return picked, nil
}

// identify fixes what a target is known by among the queues.
func (t *target) identify() {
	canonical, err := json.Marshal([]any{t.backend.name, t.values}) // maps are sorted
	if err != nil {
		panic("notify: values are lists of strings: " + err.Error())
	}
	t.id = sha256.Sum256(canonical)
}

// shown is a target as it may be seen: the fields in the table's order.
func (t *target) shown() *yaml.Node {
	fields := &yaml.Node{Kind: yaml.MappingNode}
	for _, f := range t.backend.fields {
		if !t.values.has(f.name) {
			continue
		}
		fields.Content = append(fields.Content, textNode(f.name), f.shown(t.values[f.name]))
	}
	return &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
		textNode("type"), textNode(t.typ), textNode("name"), textNode(t.name), textNode("config"), fields,
	}}
}

func (f field) shown(items []string) *yaml.Node {
	switch f.kind {
	case headers:
		mapping := &yaml.Node{Kind: yaml.MappingNode}
		for _, item := range items {
			name, _, _ := strings.Cut(item, ": ")
			mapping.Content = append(mapping.Content, textNode(name), textNode(masked))
		}
		return mapping
	case mailList:
		list := &yaml.Node{Kind: yaml.SequenceNode}
		for _, item := range items {
			list.Content = append(list.Content, textNode(item))
		}
		return list
	}
	if f.secret {
		return textNode(masked)
	}
	return textNode(items[0])
}

func textNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

// MarshalYAML gives the rules as understood, secrets masked.
func (c Config) MarshalYAML() (any, error) {
	list := &yaml.Node{Kind: yaml.SequenceNode}
	for _, t := range c.targets() {
		list.Content = append(list.Content, t.shown())
	}
	return list, nil
}

// MarshalJSON gives the same as MarshalYAML.
func (c Config) MarshalJSON() ([]byte, error) {
	node, err := c.MarshalYAML()
	if err != nil {
		return nil, err
	}
	list := []any{}
	if err := node.(*yaml.Node).Decode(&list); err != nil {
		return nil, err
	}
	return json.Marshal(list)
}

// String names the targets and their services.
func (c Config) String() string {
	var parts []string
	for _, t := range c.targets() {
		parts = append(parts, t.name+" ("+t.typ+")")
	}
	return cmp.Or(strings.Join(parts, ", "), "none")
}

// Format does the same for every verb.
func (c Config) Format(s fmt.State, _ rune) { fmt.Fprint(s, c.String()) }

// LogValue does the same for logs.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }
