package acl

import (
	"errors"
	"fmt"

	"gopkg.in/yaml.v3"

	"patchwork/notify"
)

// readNotifications reads the value of ntfy. It is decoded with the rest of the
// file, so that a mistake in it is told with its place like any other.
func readNotifications(n *yaml.Node) (notify.Config, error) {
	c, err := notify.Decode(n)
	var mistake *notify.ConfigError
	switch {
	case errors.As(err, &mistake):
		return c, &DecodeError{max(mistake.Line, 1), max(mistake.Column, 1), fmt.Sprintf("%s: %s", mistake.Field, mistake.Reason)}
	case err != nil:
		return c, wrong(n, "ntfy is not understood")
	}
	return c, nil
}

// showNotifications writes them with their secrets masked; nil when there are
// none.
func showNotifications(c notify.Config) (*yaml.Node, error) {
	if c.Empty() {
		return nil, nil
	}
	n := new(yaml.Node)
	return n, n.Encode(c)
}
