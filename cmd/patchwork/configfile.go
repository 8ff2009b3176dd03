package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// readConfigFile reads a YAML mapping of option names to values. Lists may be
// YAML lists or comma separated. A key that is no option, a key given twice and
// a key without a value are errors that name the file, the line and the key;
// the values themselves are not looked at. An empty file is an empty mapping.
func readConfigFile(path string) (map[string]setting, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	var doc yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&doc); {
	case errors.Is(err, io.EOF):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: more than one YAML document", path)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return nil, nil
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s:%d: not a list of 'key: value' lines", path, root.Line)
	}

	settings := make(map[string]setting)
	for pair := range slices.Chunk(root.Content, 2) {
		key, where := pair[0].Value, fmt.Sprintf("%s:%d: ", path, pair[0].Line)
		if !slices.ContainsFunc(options, func(o option) bool { return o.name == key }) {
			return nil, fmt.Errorf("%sunknown key %q; 'patchwork start --help' lists the names", where, key)
		}
		if _, twice := settings[key]; twice {
			return nil, fmt.Errorf("%skey %q for the second time", where, key)
		}
		value, err := scalar(pair[1])
		if err != nil {
			return nil, fmt.Errorf("%s%s %w", where, key, err)
		}
		settings[key] = setting{value, where + key}
	}
	return settings, nil
}

// scalar is the text of a value, that of a list with commas between.
func scalar(n *yaml.Node) (string, error) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.Tag != "!!null":
		return n.Value, nil
	case n.Kind == yaml.ScalarNode:
		return "", errors.New("has no value; remove the line or give it one")
	case n.Kind != yaml.SequenceNode:
		return "", errors.New("is not a plain value")
	}
	var items []string
	for _, item := range n.Content {
		if item.Kind != yaml.ScalarNode {
			return "", errors.New("is not a list of plain values")
		}
		items = append(items, item.Value)
	}
	return strings.Join(items, ","), nil
}
