package sshfront

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"patchwork/broker"
)

// options is what a command line says, whatever the command.
type options struct {
	topic      string // empty: none was given
	word       string // the second one, of commands that take two
	public     bool
	access     []string // nil: no list
	clean      bool
	block      bool
	timeout    time.Duration
	timed      bool // the client said timeout
	empty      bool
	lines      bool
	roundRobin bool
	keep       bool
	echo       bool
	raw        bool
	json       bool
	remove     bool
	get, post  []string // patterns
	ttl        time.Duration
	from, to   time.Time // zero: not said
	note       Notification
}

func commonFlags(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.public, "p", false, "the topic is public: anybody may use it, with -p")
	f.Func("a", "let only these use the topic: `USER,SHA256:…` and http, which is everybody's web access", func(s string) (err error) {
		o.access, err = broker.ParseAccess(s)
		return err
	})
	f.BoolVar(&o.clean, "c", false, "no talk on stderr")
}

func modeFlag(f *flag.FlagSet, o *options) {
	f.Func("d", "`MODE` is multicast, all to every subscriber (default), or round_robin, each line whole to one, in turn", func(s string) error {
		switch s {
		case "multicast":
			o.roundRobin = false
		case "round_robin":
			o.roundRobin = true
		default:
			return errors.New("want multicast or round_robin")
		}
		return nil
	})
}

func rawFlag(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.raw, "raw", false, "let control sequences through to a terminal (with ssh -t)")
}

// defaultWait is how long pub waits for a subscriber: 30 days.
const defaultWait = 720 * time.Hour

func pubFlags(f *flag.FlagSet, o *options) {
	commonFlags(f, o)
	modeFlag(f, o)
	o.timeout = defaultWait
	f.BoolVar(&o.block, "b", true, "do not wait: send to whoever is there, and skip who cannot keep up")
	f.Func("t", "wait no longer than `DURATION` for a subscriber, each time there is none, like 90s or 10m (default 720h)", func(s string) error {
		d, err := duration(s)
		o.timeout, o.timed = d, true
		return err
	})
	f.BoolVar(&o.empty, "e", false, "send an empty message, without stdin")
	f.BoolVar(&o.lines, "l", false, "every line is a message of its own")
}

func subFlags(f *flag.FlagSet, o *options) {
	commonFlags(f, o)
	rawFlag(f, o)
	f.BoolVar(&o.keep, "k", false, "stay when the last publisher left")
}

func pipeFlags(f *flag.FlagSet, o *options) {
	commonFlags(f, o)
	modeFlag(f, o)
	rawFlag(f, o)
	f.BoolVar(&o.echo, "r", false, "hear yourself too")
}

func jsonFlag(f *flag.FlagSet, o *options) {
	f.BoolVar(&o.json, "json", false, "a list of JSON objects")
}

// duration reads a Go duration, seconds, or days.
func duration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if seconds, numErr := strconv.ParseUint(s, 10, 32); numErr == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if n, numErr := strconv.ParseUint(days, 10, 16); numErr == nil && n <= 10_000 {
			d, err = time.Duration(n)*24*time.Hour, nil
		}
	}
	if err != nil || d < 0 {
		return 0, errors.New("want a duration, like 90s or 10m")
	}
	return d, nil
}

// parse reads the arguments of the command: flags and topic in any order, flags
// alone as package flag reads them. After "--" nothing is a flag. It returns
// flag.ErrHelp for -h and usage errors for the rest.
func (c *command) parse(args []string) (*options, error) {
	o := &options{}
	f := c.flagSet(o)
	var rest []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, rest = args[:i], args[i+1:]
	}
	var words []string
	for len(args) > 0 {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			return nil, usage("%s: %s; try: %s -h", c.name, short(err.Error()), c.name)
		}
		args = f.Args()
		if len(args) > 0 {
			words, args = append(words, args[0]), args[1:]
		}
	}
	words = append(words, rest...)
	switch {
	case len(words) > 0 && c.topic == noTopic:
		return nil, usage("%s takes no arguments", c.name)
	case len(words) > 1 && c.topic != topicAndWord:
		return nil, usage("%s takes one argument, not %d; quote it if it has spaces", c.name, len(words))
	case len(words) > 2:
		return nil, usage("%s takes %s, not %d arguments", c.name, c.args, len(words))
	case len(words) == 0 && (c.topic == oneTopic || c.topic == topicAndWord):
		return nil, usage("%s needs a topic, like: %s mytopic", c.name, c.name)
	case len(words) >= 1 && words[0] == "":
		return nil, usage("%s: the topic is empty", c.name)
	}
	if len(words) >= 1 {
		o.topic = words[0]
	}
	if len(words) == 2 {
		o.word = words[1]
	}
	return o, nil
}

// flagSet returns the command's flags, which set o.
func (c *command) flagSet(o *options) *flag.FlagSet {
	f := flag.NewFlagSet(c.name, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	if c.flags != nil {
		c.flags(f, o)
	}
	return f
}

// flagHelp lists the command's flags, one a line.
func (c *command) flagHelp() (lines []string) {
	c.flagSet(&options{}).VisitAll(func(f *flag.Flag) {
		value, text := flag.UnquoteUsage(f)
		name := "-" + f.Name
		if f.DefValue == "true" {
			name += "=false"
		}
		lines = append(lines, fmt.Sprintf("  %-19s %s", name+" "+value, text))
	})
	return lines
}
