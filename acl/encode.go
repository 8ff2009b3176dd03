package acl

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"time"

	"gopkg.in/yaml.v3"
)

// MarshalYAML writes the rules as they were understood: tokens by their digest,
// keys by their fingerprint, secrets left out. Decoding it again gives the same
// rights, and no secret that anybody could know.
func (d *Document) MarshalYAML() (any, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	// The level is written even when it is empty: without it the file would be of
	// the older form.
	add(root, "tokens", holders(slices.Collect(maps.Values(d.tokens))))
	if len(d.keys) > 0 {
		add(root, "ssh_keys", holders(slices.Collect(maps.Values(d.keys))))
	}
	if len(d.webhook) > 0 {
		secret := textNode("")
		secret.LineComment = "set, not shown"
		add(root, "webhook_secret", secret)
	}
	if shown, err := showNotifications(d.ntfy); err != nil {
		return nil, err
	} else if shown != nil {
		add(root, "ntfy", shown)
	}
	return root, nil
}

// holders keeps the order of the file.
func holders(hs []*holder) *yaml.Node {
	slices.SortFunc(hs, func(a, b *holder) int {
		return cmp.Or(a.rights.line-b.rights.line, a.rights.column-b.rights.column, cmp.Compare(a.name, b.name))
	})
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, h := range hs {
		add(n, h.name, h.rights.node())
		if h.note != "" {
			n.Content[len(n.Content)-2].HeadComment = "# " + strconv.QuoteToGraphic(h.note)
		}
	}
	return n
}

func (r *Rights) node() *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	if r.admin {
		add(n, "is_admin", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	}
	if r.expires != nil {
		add(n, "expires_at", textNode(r.expires.Format(time.RFC3339Nano)))
	}
	for m, l := range r.methods {
		l.addTo(n, methodNames[m])
	}
	r.forward.addTo(n, "huproxy")
	r.tunnel.addTo(n, "tunnel")
	return n
}

func (l list) addTo(n *yaml.Node, name string) {
	if len(l) == 0 {
		return
	}
	items := &yaml.Node{Kind: yaml.SequenceNode}
	for _, p := range l {
		items.Content = append(items.Content, textNode(p.text))
	}
	add(n, name, items)
}

func add(n *yaml.Node, key string, value *yaml.Node) {
	n.Content = append(n.Content, textNode(key), value)
}

func textNode(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s, Style: yaml.DoubleQuotedStyle}
}
