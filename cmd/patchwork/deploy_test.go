package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"patchwork/cmd/patchwork/cmdline"
)

// deployFile reads a file of what operators copy.
func deployFile(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDeployedFlagsExist takes every --flag and every environment variable that
// the files in deploy set, and looks it up in the table of options.
func TestDeployedFlagsExist(t *testing.T) {
	known := append([]option{configOption, {name: "url"}}, options...)
	commands := regexp.MustCompile(`(?m)^(?:ExecStart=|.*CMD |ENTRYPOINT |\s+command:)(.*)$`)
	flags := regexp.MustCompile(`--([a-z][a-z-]+)`)
	variables := regexp.MustCompile(`(?m)^\s*(?:ENV |Environment=|-?\s*)([A-Z][A-Z_]+)[=:]`)
	for _, name := range []string{"Dockerfile", "patchwork.service", "compose.yaml"} {
		text := deployFile(t, name)
		for _, command := range commands.FindAllStringSubmatch(text, -1) {
			for _, found := range flags.FindAllStringSubmatch(command[1], -1) {
				if !slices.ContainsFunc(known, func(o option) bool { return o.name == found[1] }) {
					t.Errorf("%s: 'start' has no flag %s", name, found[0])
				}
			}
		}
		for _, found := range variables.FindAllStringSubmatch(text, -1) {
			variable := found[1]
			ours := slices.ContainsFunc(known, func(o option) bool { return o.env() == variable })
			if !ours && variable != "CGO_ENABLED" {
				t.Errorf("%s: 'start' does not read %s", name, variable)
			}
		}
	}
}

// TestUnitStopsLaterThanTheRelayDrains: systemd must not kill what the relay
// still lets finish.
func TestUnitStopsLaterThanTheRelayDrains(t *testing.T) {
	found := regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`).FindStringSubmatch(deployFile(t, "patchwork.service"))
	if found == nil {
		t.Fatal("the unit has no TimeoutStopSec")
	}
	stop, err := cmdline.Duration(found[1])
	if err != nil {
		t.Fatal(err)
	}
	c, err := resolve(nil, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	if stop < c.drainTimeout+5*time.Second {
		t.Errorf("TimeoutStopSec is %v, too short for a drain timeout of %v and the farewells", stop, c.drainTimeout)
	}
	for name, setting := range map[string]*regexp.Regexp{
		"Dockerfile":           regexp.MustCompile(`--stop-timeout (\S+)`),
		"compose.yaml":         regexp.MustCompile(`(?s)\n  patchwork:.*stop_grace_period: *(\S+)`),
		"pipemgr.compose.yaml": regexp.MustCompile(`(?s)\n  patchwork:.*stop_grace_period: *(\S+)`),
	} {
		found := setting.FindStringSubmatch(deployFile(t, name))
		if found == nil {
			t.Errorf("%s does not say when the relay is killed", name)
			continue
		}
		if stop, err := cmdline.Duration(found[1]); err != nil || stop < c.drainTimeout+5*time.Second {
			t.Errorf("%s: it is killed after %v (%v), too short for a drain timeout of %v", name, stop, err, c.drainTimeout)
		}
	}
}

// TestUnitIsOneThatSystemdUnderstands asks systemd, where there is one.
func TestUnitIsOneThatSystemdUnderstands(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("no systemd-analyze on this machine")
	}
	// The binary of the unit is not installed here, and verify would say so.
	unit := regexp.MustCompile(`(?m)^ExecStart=\S+`).ReplaceAllString(deployFile(t, "patchwork.service"), "ExecStart=/bin/true")
	file := filepath.Join(t.TempDir(), "patchwork.service")
	if err := os.WriteFile(file, []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), "patchwork.service") {
		t.Errorf("%v\n%s", err, out)
	}
}
