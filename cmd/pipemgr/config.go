package main

import (
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/urfave/cli/v2"
)

// config is everything pipemgr can be told. Its values have been checked.
type config struct {
	relay        destination
	command      string
	key          string   // file, "" is the default of [loadKey]
	hostKeys     []string // fingerprints
	knownHosts   string   // file, "" is none
	stateDir     string   // "" is none
	stateWanted  bool     // somebody named it, so it has to work
	networks     []string
	format       format
	since        time.Duration // below 0 is all
	buffer       int           // bytes
	drop         bool
	health       string // address, "" is off
	flushTimeout time.Duration
	logLevel     slog.Level
	logFormat    string
}

// A setting is one flag, --name, with its environment variable.
type setting struct {
	name     string
	fallback string // the value when nobody says anything
	shown    string // what help says about the fallback when it is not a fixed text
	usage    string // `backquotes` name the value in the help
	many     bool   // may be repeated; commas separate values in the environment
}

// env is --when-full's PIPEMGR_WHEN_FULL.
func (s setting) env() string {
	return "PIPEMGR_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// settings is the table of flags. What each is read into is in resolve.
var settings = []setting{
	{name: "relay", fallback: "localhost:2222", usage: "`[USER@]HOST[:PORT]` of the relay's SSH door; PORT is 2222 when it is missing"},
	{name: "command", fallback: "pub container-drain -b=false", usage: "`COMMAND` that takes the lines there; without -b=false it waits for subscribers"},
	{name: "key", shown: "/key, else ~/.ssh/id_ed25519", usage: "`FILE` with the private SSH key; its passphrase goes to $" + passphraseEnv},
	{name: "host-key", shown: "the one the relay has when it is met first", usage: "`FINGERPRINT` (SHA256:…) of the one host key that is believed; may be repeated", many: true},
	{name: "known-hosts", shown: "none", usage: "`FILE` in ssh's format with the host keys that are believed"},
	{name: "state-dir", shown: "$XDG_STATE_HOME/pipemgr, else ~/.local/state/pipemgr", usage: "`DIR` that keeps how far logs were sent, and the relay's host key; off keeps them in memory"},
	{name: "network", shown: "all", usage: "`NAME` of a network: only containers on it are followed; may be repeated", many: true},
	{name: "format", fallback: "plain", usage: "`FORMAT` of a line: plain, prefix (NAME | LINE) or json"},
	{name: "since", fallback: "0s", usage: "`DURATION` before the very first start from which logs are sent, or all"},
	{name: "buffer", fallback: "8MiB", usage: "`SIZE` of what is kept while the relay is slow or away"},
	{name: "when-full", fallback: "wait", usage: "`WHAT` to do then: wait (logs are read on later) or drop (the oldest lines)"},
	{name: "health", fallback: ":8080", usage: "`ADDRESS` of the page /health, or off"},
	{name: "flush-timeout", fallback: "5s", usage: "`DURATION` in which what is held has to be sent at the end"},
	{name: "log-level", fallback: "info", usage: "`LEVEL`: debug, info, warn or error"},
	{name: "log-format", fallback: "text", usage: "`FORMAT`: text or json"},
}

// off is the word for what is not wanted.
const off = "off"

func flags() (list []cli.Flag) {
	for _, s := range settings {
		if s.many {
			list = append(list, &cli.StringSliceFlag{Name: s.name, Usage: s.usage, DefaultText: s.shown, EnvVars: []string{s.env()}})
		} else {
			list = append(list, &cli.StringFlag{Name: s.name, Value: s.fallback, Usage: s.usage, DefaultText: s.shown, EnvVars: []string{s.env()}})
		}
	}
	return list
}

// resolve reads what the flags, else the environment, say. What is empty counts as
// not said. The error is a usageError.
func resolve(c *cli.Context, env func(string) string) (config, error) {
	r := reader{c: c}
	cfg := config{
		relay:        read(&r, "relay", parseDestination),
		command:      read(&r, "command", text),
		key:          read(&r, "key", text),
		hostKeys:     r.list("host-key"),
		knownHosts:   read(&r, "known-hosts", text),
		stateDir:     read(&r, "state-dir", text),
		networks:     r.list("network"),
		format:       read(&r, "format", oneOf(choices[format]{{"plain", plain}, {"prefix", prefix}, {"json", asJSON}})),
		since:        read(&r, "since", parseSince),
		buffer:       read(&r, "buffer", parseBuffer),
		drop:         read(&r, "when-full", oneOf(choices[bool]{{"wait", false}, {"drop", true}})),
		health:       read(&r, "health", parseHealth),
		flushTimeout: read(&r, "flush-timeout", duration),
		logLevel: read(&r, "log-level", oneOf(choices[slog.Level]{
			{"debug", slog.LevelDebug}, {"info", slog.LevelInfo}, {"warn", slog.LevelWarn}, {"error", slog.LevelError}})),
		logFormat: read(&r, "log-format", oneOf(choices[string]{{"text", "text"}, {"json", "json"}})),
	}
	for _, print := range cfg.hostKeys {
		if !strings.HasPrefix(print, "SHA256:") || len(print) != len("SHA256:")+43 {
			r.fail("host-key", print, errors.New("is no fingerprint such as SHA256:… with 43 characters; 'ssh-keygen -lf FILE' shows it"))
		}
	}
	if r.err == nil && cfg.hostKeys != nil && cfg.knownHosts != "" {
		r.err = usagef("--host-key and --known-hosts exclude each other: one of them says which host key is believed")
	}
	cfg.stateWanted = cfg.stateDir != ""
	switch {
	case cfg.stateDir == off:
		cfg.stateDir, cfg.stateWanted = "", false
	case cfg.stateWanted:
	case strings.HasPrefix(env("XDG_STATE_HOME"), "/"): // a relative one is to be ignored, its specification says
		cfg.stateDir = env("XDG_STATE_HOME") + "/pipemgr"
	case env("HOME") != "":
		cfg.stateDir = env("HOME") + "/.local/state/pipemgr"
	}
	return cfg, r.err
}

// A reader reads settings and keeps the first mistake.
type reader struct {
	c   *cli.Context
	err error
}

func (r *reader) fail(name, value string, err error) {
	if r.err == nil {
		r.err = usagef("--%s or %s: %q %s", name, setting{name: name}.env(), value, oneLine(err))
	}
}

func (r *reader) list(name string) (list []string) {
	for _, v := range r.c.StringSlice(name) {
		if v != "" {
			list = append(list, v)
		}
	}
	return list
}

func read[T any](r *reader, name string, parse func(string) (T, error)) T {
	value := r.c.String(name)
	for _, s := range settings {
		if s.name == name && value == "" {
			value = s.fallback
		}
	}
	v, err := parse(value)
	if err != nil {
		r.fail(name, value, err)
	}
	return v
}
