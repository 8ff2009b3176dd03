package notify

import (
	"gopkg.in/yaml.v3"
)

// pair is one key of a mapping with its value, aliases resolved.
type pair struct {
	name  string
	key   *yaml.Node
	value *yaml.Node
}

// mapping reads a node as a mapping with text keys, each there once. A key that
// is there twice is a mistake that YAML's reader lets pass in a node.
func mapping(path string, node *yaml.Node) ([]pair, error) {
	if node.Kind != yaml.MappingNode {
		return nil, wrong(node, path, "must be a mapping")
	}
	var pairs []pair
	for i := 0; i+1 < len(node.Content); i += 2 {
		key := node.Content[i]
		if key.Kind != yaml.ScalarNode {
			return nil, wrong(key, path, "has a key that is not a name")
		}
		if find(pairs, key.Value) != nil {
			return nil, wrong(key, path, "%q is there twice", clip(key.Value, 40))
		}
		pairs = append(pairs, pair{name: key.Value, key: key, value: resolve(node.Content[i+1])})
	}
	return pairs, nil
}

func find(pairs []pair, name string) *yaml.Node {
	for _, p := range pairs {
		if p.name == name {
			return p.value
		}
	}
	return nil
}

// scalar reads a node as text: `to: 12` is the text 12, null is nothing.
func scalar(path string, node *yaml.Node) (string, error) {
	if node.Kind != yaml.ScalarNode {
		return "", wrong(node, path, "must be one value, not a list or a mapping")
	}
	if node.Tag == "!!null" {
		return "", wrong(node, path, "is empty")
	}
	return node.Value, nil
}

// resolve follows the aliases of a node. YAML allows no alias of an alias, and
// what is decoded here is three levels deep, so that one that holds itself ends
// as a value of the wrong kind.
func resolve(node *yaml.Node) *yaml.Node {
	if node != nil && node.Kind == yaml.DocumentNode && len(node.Content) == 1 {
		node = node.Content[0]
	}
	if node != nil && node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
