package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"gopkg.in/yaml.v3"
)

func deployFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	must(t, err)
	return string(text)
}

// A composeFile is what these tests read of deploy/pipemgr.compose.yaml.
type composeFile struct {
	Services map[string]struct {
		Environment map[string]string
		Volumes     []string
		Labels      map[string]string
		Healthcheck struct {
			Test     []string
			Interval string
			Timeout  string
			Retries  int
		}
		ReadOnly    bool     `yaml:"read_only"`
		CapDrop     []string `yaml:"cap_drop"`
		CapAdd      []string `yaml:"cap_add"`
		SecurityOpt []string `yaml:"security_opt"`
	}
}

// TestDeployedSettingsExist takes every environment variable and flag that the files
// in deploy set, and looks it up in the table of settings.
func TestDeployedSettingsExist(t *testing.T) {
	for _, name := range []string{"pipemgr.Dockerfile", "pipemgr.compose.yaml"} {
		text := deployFile(t, name)
		for _, found := range regexp.MustCompile(`PIPEMGR_[A-Z_]+`).FindAllString(text, -1) {
			if !slices.ContainsFunc(settings, func(s setting) bool { return s.env() == found }) {
				t.Errorf("%s: there is no %s", name, found)
			}
		}
		for _, found := range regexp.MustCompile(`(?m)^#.*pipemgr.* --([a-z-]+)`).FindAllStringSubmatch(text, -1) {
			if !slices.ContainsFunc(settings, func(s setting) bool { return s.name == found[1] }) {
				t.Errorf("%s: there is no --%s", name, found[1])
			}
		}
	}
}

// importable are the instructions that importing an image takes.
var importable = regexp.MustCompile(`(?m)^(?:ENV|VOLUME|HEALTHCHECK|ENTRYPOINT|USER) .*$`)

// TestImageWorksInTheComposeFile makes the image that the Dockerfile describes, and runs
// it as the compose file does: the key, of another user, at /key, Docker's socket
// read-only, and curl to ask for its health. The relay is in a container, too.
func TestImageWorksInTheComposeFile(t *testing.T) {
	e, r := dockerEngine(t), startRelay(t) // for its key; the relay itself is another one
	must(t, os.Chown(r.key(), 1234, 1234))

	must(t, e.image("patchwork", nil, tarred{name: "patchwork", file: program(t, "patchwork")}))
	_, last, _ := strings.Cut(deployFile(t, "pipemgr.Dockerfile"), "FROM scratch\n")
	must(t, e.image("pipemgr", importable.FindAllString(last, -1),
		tarred{name: "pipemgr", file: program(t, "pipemgr")}, tarred{name: "usr/bin/curl", link: "/pipemgr"}))
	var compose composeFile
	must(t, yaml.Unmarshal([]byte(deployFile(t, "pipemgr.compose.yaml")), &compose))

	relay := e.run(t, "patchwork", "", options{labels: map[string]string{}, change: func(c *container.Config, h *container.HostConfig) {
		c.Image, c.Cmd, c.Entrypoint = "patchwork", []string{"start", "--port", "-1", "--data-dir", "/data"}, []string{"/patchwork"}
	}})
	must(t, await("the relay listens", func() error {
		if log := strings.Join(relay.logged(), "\n"); !strings.Contains(log, "msg=listening") {
			return fmt.Errorf("it says %s", log)
		}
		return nil
	}))

	service := compose.Services["pipemgr"]
	interval, err := time.ParseDuration(service.Healthcheck.Interval)
	must(t, err)
	m := e.run(t, "pipemgr", "", options{labels: map[string]string{}, change: func(c *container.Config, h *container.HostConfig) {
		c.Image, c.Cmd = "pipemgr", nil
		for name, value := range service.Environment {
			// There is no DNS in a network of one's own; the relay is at localhost.
			c.Env = append(c.Env, name+"="+strings.Replace(value, "patchwork:", "localhost:", 1))
		}
		c.Healthcheck = &container.HealthConfig{Test: service.Healthcheck.Test, Interval: interval, Retries: service.Healthcheck.Retries}
		h.NetworkMode = container.NetworkMode("container:" + relay.id)
		h.ReadonlyRootfs, h.CapDrop, h.CapAdd, h.SecurityOpt = service.ReadOnly, service.CapDrop, service.CapAdd, service.SecurityOpt
		for _, v := range service.Volumes {
			v = strings.Replace(v, "$HOME/.ssh/id_ed25519:", r.key()+":", 1)
			h.Binds = append(h.Binds, strings.Replace(v, "/var/run/docker.sock:", e.socket+":", 1))
		}
	}})
	must(t, await("pipemgr is healthy", func() error {
		found, err := e.docker.ContainerInspect(t.Context(), m.id, client.ContainerInspectOptions{})
		if err != nil || found.Container.State.Health == nil || found.Container.State.Health.Status != container.Healthy {
			state, _ := json.Marshal(found.Container.State)
			return fmt.Errorf("%v %s\n%s", err, state, strings.Join(m.logged(), "\n"))
		}
		return nil
	}))

	found, err := e.docker.ContainerInspect(t.Context(), relay.id, client.ContainerInspectOptions{})
	must(t, err)
	inside := func(command string) *exec.Cmd { // ssh from the relay's own network
		r.addr = "127.0.0.1:2222"
		ssh := r.ssh(command)
		return exec.Command("nsenter", append([]string{"-t", strconv.Itoa(found.Container.State.Pid), "-n", "--"}, ssh.Args...)...)
	}
	must(t, os.Chown(r.key(), os.Getuid(), os.Getgid()))
	sub := r.subscribeBy(inside)
	labels := compose.Services["web"].Labels
	labels[labelFilter] = "GET.+(404)"
	e.run(t, "web", "/bin/busybox echo GET / 200; /bin/busybox echo GET /lost 404", options{labels: labels}).wait()
	sub.until("the line is there", func(lines []string) bool { return len(lines) > 0 })

	if _, err := e.docker.ContainerStop(t.Context(), m.id, client.ContainerStopOptions{}); err != nil {
		t.Fatal(err)
	}
	found, err = e.docker.ContainerInspect(t.Context(), m.id, client.ContainerInspectOptions{})
	must(t, err)
	if code := found.Container.State.ExitCode; code != exitDone {
		t.Errorf("it ended with %d:\n%s", code, strings.Join(m.logged(), "\n"))
	}
	compare(t, sub.got(), []string{"GET /lost 404"})
}
