package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
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
	c, err := t.pipe.inspect(ctx, docker, t.id)
	if err != nil {
		return false, err
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
	t.wanted = t.pipe.reaches(c)
	return c.State.Running, nil
}

// hasLeft asks Docker, until it answers or ctx ends, whether the container has left the
// networks. Any goroutine may ask, while another one reads the log. One that was removed
// has not left them: its log ends by itself, and is wanted to its end.
func (t *tail) hasLeft(ctx context.Context, docker *client.Client) bool {
	wait := backoff{first: 100 * time.Millisecond, most: 5 * time.Second}
	for {
		switch c, err := t.pipe.inspect(ctx, docker, t.id); {
		case err == nil:
			return !t.pipe.reaches(c)
		case errdefs.IsNotFound(err), errdefs.IsConflict(err), wait.wait(ctx) != nil:
			return false
		}
	}
}

// inspect asks Docker what a container is. Of the answer's pointers those that are read
// here are set.
func (p *pipeline) inspect(ctx context.Context, docker *client.Client, id string) (container.InspectResponse, error) {
	// A host may have thousands of stopped containers: they are looked at in turn.
	select {
	case p.looking <- struct{}{}:
		defer func() { <-p.looking }()
	case <-ctx.Done():
		return container.InspectResponse{}, context.Cause(ctx)
	}
	found, err := docker.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return container.InspectResponse{}, err
	}
	c := found.Container
	if c.Config == nil || c.State == nil || c.HostConfig == nil || c.NetworkSettings == nil {
		return container.InspectResponse{}, errors.New("no answer that tells what the container is")
	}
	return c, nil
}

// reaches tells whether a container is on one of the networks, where they matter.
func (p *pipeline) reaches(c container.InspectResponse) bool {
	return p.networks == nil || slices.ContainsFunc(p.networks, func(name string) bool {
		_, on := c.NetworkSettings.Networks[name]
		return on
	})
}
