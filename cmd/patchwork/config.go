package main

import (
	"errors"
	"flag"
	"os"
	"strconv"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/cmdline"
)

// setting is one value with the place it was found at, for the error message.
type setting struct {
	value string
	where string // "--port", "environment variable PORT" or "relay.yaml:3: port"
}

// resolve makes the configuration of the relay. Each option is taken from the
// flags, else from the environment, else from the file that --config or CONFIG
// names, else from its default. An environment variable that is set but empty
// counts as not set. The error is a cmdline.UsageError that names the place; a value
// that a stronger source overrides is checked all the same, so that a mistake
// does not wait for the day the flag is dropped.
func resolve(flags map[string]string, env func(string) string) (config, error) {
	var c config
	var file map[string]setting
	path, ok := flags[configOption.name]
	if !ok {
		path = env(configOption.env())
	}
	if path != "" {
		var err error
		if file, err = readConfigFile(path); err != nil {
			return c, cmdline.Usagef("%s", cmdline.OneLine(err))
		}
	}

	for _, o := range options {
		var found []setting // weakest first: the last one to be set stays
		if o.fallback != "" {
			found = append(found, setting{o.fallback, "default of --" + o.name})
		}
		if s, ok := file[o.name]; ok {
			found = append(found, s)
		}
		if v := env(o.env()); v != "" {
			found = append(found, setting{v, "environment variable " + o.env()})
		}
		if v, ok := flags[o.name]; ok {
			found = append(found, setting{v, "--" + o.name})
		}
		for _, s := range found {
			if err := o.set(&c, s.value); err != nil {
				return c, cmdline.Usagef("%s %q %s", s.where, s.value, cmdline.OneLine(err))
			}
		}
	}
	if c.metricsToken == "" {
		c.metricsToken = c.forgejoToken // as in the relays this one replaces
	}
	if c.port < 0 && c.sshPort < 0 {
		return c, cmdline.Usagef("--port and --ssh-port are both off, so there is nothing to start; give one of them a port")
	}
	return c, nil
}

// stateDir is the folder that outlives restarts: as told, else by the XDG base
// directory specification, which says that a relative path is to be ignored.
func stateDir(c config, env func(string) string) (string, error) {
	if c.dataDir != "" {
		return c.dataDir, nil
	}
	if dir := env("XDG_STATE_HOME"); len(dir) > 0 && dir[0] == '/' {
		return dir + "/patchwork", nil
	}
	if home := env("HOME"); home != "" {
		return home + "/.local/state/patchwork", nil
	}
	return "", errors.New("no folder to keep the host key in: neither HOME nor XDG_STATE_HOME is set; give one with --data-dir")
}

// optionFlag is an option on the command line. It takes any text: the words are
// checked by resolve, which knows all sources and words its errors alike.
type optionFlag struct {
	option
	values map[string]string // what was given, by option name
}

// startFlags returns the flags of 'patchwork start' and the map that parsing
// fills.
func startFlags() ([]cli.Flag, map[string]string) {
	values := make(map[string]string)
	flags := []cli.Flag{optionFlag{configOption, values}}
	for _, o := range options {
		flags = append(flags, optionFlag{o, values})
	}
	return flags, values
}

// The methods of cli.Flag, and of those that write the help.

func (f optionFlag) Apply(set *flag.FlagSet) error {
	set.Var(flagValue{f}, f.name, f.usage)
	return nil
}

func (f optionFlag) Names() []string      { return []string{f.name} }
func (f optionFlag) IsSet() bool          { _, ok := f.values[f.name]; return ok }
func (f optionFlag) IsVisible() bool      { return true }
func (f optionFlag) String() string       { return cli.FlagStringer(f) }
func (f optionFlag) TakesValue() bool     { return !f.boolean }
func (f optionFlag) GetUsage() string     { return f.usage }
func (f optionFlag) GetValue() string     { return f.values[f.name] }
func (f optionFlag) GetEnvVars() []string { return []string{f.env()} }

func (f optionFlag) GetDefaultText() string {
	if f.shown != "" {
		return f.shown
	}
	return f.fallback
}

// flagValue hands what the flag package parsed to the flag's map.
type flagValue struct{ optionFlag }

func (v flagValue) Set(s string) error { v.values[v.name] = s; return nil }
func (v flagValue) IsBoolFlag() bool   { return v.boolean }

func (v flagValue) String() string {
	if v.values == nil { // the flag package asks a zero value
		return ""
	}
	return strconv.Quote(v.values[v.name])
}

// startCommand is 'patchwork start'.
func startCommand() *cli.Command {
	flags, values := startFlags()
	return &cli.Command{
		Name:      "start",
		Usage:     "run the relay",
		UsageText: "patchwork start [--flag value]…",
		Description: "Without any flag: HTTP on port 8080, SSH on port 2222, messages in memory only.\n" +
			"Every flag has an environment variable, and a key of the same name in --config FILE.",
		Flags: flags,
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return cmdline.Usagef("start takes no arguments, but got %q", c.Args().First())
			}
			cfg, err := resolve(values, os.Getenv)
			if err != nil {
				return err
			}
			return serve(c.Context, cfg, c.App.ErrWriter)
		},
	}
}
