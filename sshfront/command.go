package sshfront

import (
	"errors"
	"flag"
	"strings"

	"patchwork/broker"
)

// A command is one row of the table of what can be asked for.
type command struct {
	name  string
	args  string // as shown in help
	about string // one line
	topic need
	flags func(*flag.FlagSet, *options) // nil: none
	run   func(*session, *options) error
	more  string // further help: lines, with HOST for this host's address
}

// need says whether a command takes a topic.
type need uint8

const (
	noTopic need = iota
	maybeTopic
	oneTopic
	topicAndWord // the word may be missing
)

// commands is the table. It is a function because help, one of its rows, shows it.
func commands() []command {
	return []command{
		{name: "help", args: "[COMMAND]", about: "what there is", topic: maybeTopic, run: runHelp},
		{name: "pub", args: "[TOPIC]", about: "send stdin to a topic's subscribers", topic: maybeTopic, flags: pubFlags, run: runPub, more: pubHelp},
		{name: "sub", args: "TOPIC", about: "receive a topic until its last publisher leaves", topic: oneTopic, flags: subFlags, run: runSub, more: subHelp},
		{name: "pipe", args: "[TOPIC]", about: "send and receive at once, without waiting", topic: maybeTopic, flags: pipeFlags, run: runPipe, more: pipeHelp},
		{name: "ls", about: "your topics, and the public ones you are on", flags: jsonFlag, run: runLs, more: lsHelp},
		{name: "token", about: "a token for using your topics over HTTP", flags: tokenFlags, run: runToken, more: tokenHelp},
		{name: "notify", about: "send stdin through your notification services", flags: notifyFlags, run: runNotify, more: notifyHelp},
		{name: "monitor", args: "TOPIC DURATION", about: "watch a topic: silence for DURATION is unhealthy", topic: topicAndWord, flags: monitorFlags, run: runMonitor, more: monitorHelp},
		{name: "status", about: "your monitors and how they stand", flags: jsonFlag, run: runStatus, more: statusHelp},
		{name: "uptime", args: "TOPIC", about: "how much of the time a monitored topic was healthy", topic: oneTopic, flags: uptimeFlags, run: runUptime, more: uptimeHelp},
		{name: "rss", about: "the feed of your monitors' alerts", flags: rssFlags, run: runRSS, more: rssHelp},
	}
}

func findCommand(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return &c
		}
	}
	return nil
}

// run parses the session's command line and does what it says. No command is help,
// unless the connection publishes something.
func (s *session) run() error {
	s.verb = "none"
	words, err := splitWords(s.command)
	if err != nil {
		return usage("cannot read the command: %v", err)
	}
	if len(words) == 0 {
		s.progress.refuse()
		if stays, err := s.stay(); stays || err != nil {
			return err
		}
	}
	if len(words) == 0 || isHelpFlag(words[0]) {
		words = []string{"help"}
	}
	c := findCommand(words[0])
	if c == nil {
		return usage("unknown command %q, try: help", short(words[0]))
	}
	s.verb = c.name
	if c.name != "pub" {
		s.progress.refuse()
	}
	o, err := c.parse(words[1:])
	if errors.Is(err, flag.ErrHelp) {
		return s.print(s.commandHelp(c))
	}
	if err != nil {
		return err
	}
	if s.srv.isDown() {
		return broker.ErrClosed
	}
	if err := s.identify(); err != nil {
		return err
	}
	s.clean = o.clean
	s.tellOfTunnels()
	return c.run(s, o)
}

func isHelpFlag(word string) bool {
	switch word {
	case "-h", "-help", "--help":
		return true
	}
	return false
}

// talk writes a line about what goes on to stderr, unless the client asked not to.
func (s *session) talk(format string, args ...any) {
	if !s.clean {
		s.say(format, args...)
	}
}

// short keeps what a client sent to one readable piece of a line.
func short(text string) string {
	if len(text) > 100 {
		text = strings.ToValidUTF8(text[:97], "") + "..."
	}
	return text
}
