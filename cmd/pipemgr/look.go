package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/moby/client"
)

// errUnfit says why a container is not followed. It stays so as long as there is
// that container.
type errUnfit struct{ why string }

func (e errUnfit) Error() string { return e.why }

const (
	labelEnable = "pipemgr.enable"
	labelFilter = "pipemgr.filter"
)

// enabled reads the label that says whether a container is followed.
func enabled(labels map[string]string) (bool, error) {
	value, ok := labels[labelEnable]
	if !ok {
		return false, nil
	}
	on, err := strconv.ParseBool(strings.TrimSpace(value))
	if err != nil {
		return false, errUnfit{fmt.Sprintf("its label %s is %q, which is neither true nor false", labelEnable, value)}
	}
	return on, nil
}

// look reads what the container is, whether it is wanted among that, and tells
// whether it runs.
func (t *tail) look(ctx context.Context, docker *client.Client) (running bool, err error) {
	// A host may have thousands of stopped containers: they are looked at in turn.
	select {
	case t.pipe.looking <- struct{}{}:
		defer func() { <-t.pipe.looking }()
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	found, err := docker.ContainerInspect(ctx, t.id, client.ContainerInspectOptions{})
	if err != nil {
		return false, err
	}
	c := found.Container
	if c.Config == nil || c.State == nil || c.HostConfig == nil || c.NetworkSettings == nil {
		return false, errors.New("no answer that tells what the container is")
	}
	t.wanted = false
	t.name = strings.TrimPrefix(c.Name, "/")
	t.tty = c.Config.Tty
	on, err := enabled(c.Config.Labels)
	if err != nil || !on {
		return false, err
	}
	switch c.HostConfig.LogConfig.Type {
	case "json-file", "local", "journald":
		t.drop = t.pipe.drop
	case "none":
		return false, errUnfit{"it has the logging driver none, so there is no log"}
	default:
		t.drop = true
	}
	if t.filter, err = regexp.Compile(strings.TrimSpace(c.Config.Labels[labelFilter])); err != nil {
		return false, errUnfit{fmt.Sprintf("its label %s is no regular expression: %v", labelFilter, err)}
	}
	t.wanted = t.pipe.networks == nil
	for _, name := range t.pipe.networks {
		if _, on := c.NetworkSettings.Networks[name]; on {
			t.wanted = true
		}
	}
	return c.State.Running, nil
}
