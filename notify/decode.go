package notify

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// ConfigError is a mistake in the `ntfy` key of a config.yaml, and where it is.
type ConfigError struct {
	Line, Column int
	Field        string // from `ntfy` downwards
	Reason       string
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s: %s", e.Line, e.Column, e.Field, e.Reason)
}

func wrong(at *yaml.Node, field, format string, args ...any) error {
	return &ConfigError{Line: at.Line, Column: at.Column, Field: field, Reason: fmt.Sprintf(format, args...)}
}

// UnmarshalYAML is [Decode].
func (c *Config) UnmarshalYAML(node *yaml.Node) error {
	config, err := Decode(node)
	if err != nil {
		return err
	}
	*c = config
	return nil
}

// Decode reads the value of the `ntfy` key: one target or a list of them. It is
// strict: what it does not know, it refuses with a [*ConfigError]. A nil node and
// null are a Config without targets.
func Decode(node *yaml.Node) (Config, error) {
	node = resolve(node)
	if node == nil || node.IsZero() || node.Kind == yaml.ScalarNode && node.Tag == "!!null" {
		return Config{}, nil
	}
	var targets []*target
	switch node.Kind {
	case yaml.MappingNode:
		t, err := decodeTarget("ntfy", node)
		if err != nil {
			return Config{}, err
		}
		targets = []*target{t}
	case yaml.SequenceNode:
		if len(node.Content) > MaxTargets {
			return Config{}, wrong(node, "ntfy", "more than %d targets", MaxTargets)
		}
		for i, item := range node.Content {
			t, err := decodeTarget(fmt.Sprintf("ntfy[%d]", i), resolve(item))
			if err != nil {
				return Config{}, err
			}
			if t.name != "" && nameTaken(targets, t.name) {
				return Config{}, wrong(item, fmt.Sprintf("ntfy[%d].name", i), "%q is taken by an earlier target", t.name)
			}
			targets = append(targets, t)
		}
	default:
		return Config{}, wrong(node, "ntfy", "must be a mapping with type and config, or a list of such mappings")
	}
	nameTheNameless(targets)
	return Config{func() []*target { return targets }}, nil
}

func nameTaken(targets []*target, name string) bool {
	return slices.ContainsFunc(targets, func(t *target) bool { return t.name == name })
}

// nameTheNameless calls a target without a name by its type, the second one
// "discord-2", so that every target can be picked and told apart.
func nameTheNameless(targets []*target) {
	for _, t := range targets {
		for n := 1; t.name == ""; n++ {
			name := t.typ
			if n > 1 {
				name = fmt.Sprintf("%s-%d", t.typ, n)
			}
			if !nameTaken(targets, name) {
				t.name = name
			}
		}
	}
}

// targetName keeps names usable in `?to=a,b` and in one line of text.
var targetName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func decodeTarget(path string, node *yaml.Node) (*target, error) {
	keys, err := mapping(path, node)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if !slices.Contains([]string{"type", "name", "config"}, k.name) {
			return nil, wrong(k.key, path, "unknown field %q; there are type, name and config", clip(k.name, 40))
		}
	}
	t := &target{}
	typ := find(keys, "type")
	if typ == nil {
		return nil, wrong(node, path+".type", "missing; one of %s", strings.Join(BackendNames(), ", "))
	}
	if t.typ, err = scalar(path+".type", typ); err != nil {
		return nil, err
	}
	if t.backend = backends[t.typ]; t.backend == nil {
		return nil, wrong(typ, path+".type", "unknown backend %q; one of %s", clip(t.typ, 40), strings.Join(BackendNames(), ", "))
	}
	if name := find(keys, "name"); name != nil {
		if t.name, err = scalar(path+".name", name); err != nil {
			return nil, err
		}
		if !targetName.MatchString(t.name) {
			return nil, wrong(name, path+".name", "must be 1 to 64 of A-Z a-z 0-9 . _ -")
		}
	}
	settings := cmp.Or(find(keys, "config"), &yaml.Node{Kind: yaml.MappingNode, Line: node.Line, Column: node.Column})
	if err := t.decodeValues(path+".config", settings); err != nil {
		return nil, err
	}
	return t, nil
}

// decodeValues reads `config` by the fields of the backend, and opens it.
func (t *target) decodeValues(path string, node *yaml.Node) error {
	keys, err := mapping(path, node)
	if err != nil {
		return err
	}
	t.values = values{}
	for _, k := range keys {
		i := slices.IndexFunc(t.backend.fields, func(f field) bool { return f.name == k.name })
		if i < 0 {
			return wrong(k.key, path, "unknown field %q; %s has %s", clip(k.name, 40), t.typ, strings.Join(t.backend.fieldNames(), ", "))
		}
		if t.values[k.name], err = t.backend.fields[i].decode(path+"."+k.name, k.value); err != nil {
			return err
		}
	}
	var secrets []string
	for _, f := range t.backend.fields {
		if f.required && !t.values.has(f.name) {
			return wrong(node, path+"."+f.name, "missing; %s needs it", t.typ)
		}
		if f.value != "" && !t.values.has(f.name) {
			t.values[f.name] = []string{f.value}
		}
		if f.secret {
			secrets = append(secrets, f.secrets(t.values[f.name])...)
		}
	}
	t.redact = newRedactor(secrets)
	t.identify()
	if t.courier, err = t.backend.open(t.values); err != nil {
		var in *fieldError
		if errors.As(err, &in) {
			return wrong(cmp.Or(find(keys, in.field), node), path+"."+in.field, "%s", in.reason)
		}
		return wrong(node, path, "%s", t.redact.text(err.Error()))
	}
	return nil
}

// secrets are what must not be seen of a field's items.
func (f field) secrets(items []string) []string {
	if f.kind != headers {
		return items
	}
	var hidden []string
	for _, item := range items {
		_, value, _ := strings.Cut(item, ": ")
		hidden = append(hidden, value)
	}
	return hidden
}

// decode reads one field's value into its items.
func (f field) decode(path string, node *yaml.Node) ([]string, error) {
	var items []string
	switch {
	case f.kind == headers:
		keys, err := mapping(path, node)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			value, err := scalar(path+"."+clip(k.name, 80), k.value)
			if err != nil {
				return nil, err
			}
			items = append(items, k.name+": "+value)
		}
	case f.kind == mailList && node.Kind == yaml.SequenceNode:
		for i, item := range node.Content {
			value, err := scalar(fmt.Sprintf("%s[%d]", path, i), resolve(item))
			if err != nil {
				return nil, err
			}
			items = append(items, value)
		}
		if len(items) == 0 || len(items) > 50 {
			return nil, wrong(node, path, "must be 1 to 50 addresses")
		}
	default:
		value, err := scalar(path, node)
		if err != nil {
			return nil, err
		}
		items = []string{value}
	}
	for _, item := range items {
		if err := f.check(item); err != nil {
			return nil, wrong(node, path, "%s", err)
		}
	}
	return items, nil
}

// fieldError lets a backend's open name the field that it refuses. The reason is
// the relay's own words, and holds no secret.
type fieldError struct{ field, reason string }

func (e *fieldError) Error() string { return e.field + ": " + e.reason }

// BackendNames are what `type` may be, sorted.
func BackendNames() []string { return slices.Sorted(maps.Keys(backends)) }
