package acl

import (
	"gopkg.in/yaml.v3"
)

type notifications = *yaml.Node

func readNotifications(n *yaml.Node) (notifications, error) {
	switch {
	case isNull(n):
		return nil, nil
	case n.Kind == yaml.MappingNode, n.Kind == yaml.SequenceNode:
		return n, nil
	}
	return nil, wrong(n, "ntfy must be a mapping with type and config, or a list of such mappings")
}

func showNotifications(n notifications) (*yaml.Node, error) { return nil, nil }
