package sshfront

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

const pubHelp = `
  Without a TOPIC a random one is made. Topics are yours alone; -p makes them
  public. queue/X hands each message to one receiver, pubsub/X never waits.

  pub req/X asks: stdin is the request, the answer comes on stdout, and exit status
  1 says that it is an error. pub res/X answers the oldest request taken from there.

  echo hello | HOST pub mytopic
  HOST pub deploy-app -e
  tail -f app.log | HOST pub -l -b=false logs/app
`

const subHelp = `
  TOPIC may hold *, which matches all topics that fit, also those that come later.
  OWNER/TOPIC is a topic of somebody who let you in. sub res/X takes one request
  off req/X, with -k one after the other; answer with pub res/X.

  HOST sub mytopic
  HOST sub -k 'logs/*'
  HOST sub -p news
`

const pipeHelp = `
  Ends when stdin ends. Without a TOPIC a random one is made.

  HOST pipe -p mychan
  htop | HOST pipe htop
`

func runHelp(s *session, o *options) error {
	if o.topic == "" {
		return s.print(s.help())
	}
	c := findCommand(o.topic)
	if c == nil {
		return usage("unknown command %q, try: help", short(o.topic))
	}
	return s.print(s.commandHelp(c))
}

// help is the page about all commands.
func (s *session) help() string {
	host := s.host()
	var b strings.Builder
	fmt.Fprintf(&b, "patchwork: pipes between machines, with the SSH key you have\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-23s %s\n", c.name+" "+c.args, c.about)
	}
	fmt.Fprintf(&b, "\nA topic is a name; it exists while somebody uses it. It is yours alone: you\nare %s. With -p it is public.\n\n", s.caller.Namespace())
	fmt.Fprintf(&b, "  %s sub mytopic\n", host)
	fmt.Fprintf(&b, "  echo hello | %s pub mytopic\n", host)
	fmt.Fprintf(&b, "  %s help pub\n", host)
	return b.String()
}

// commandHelp is the page about one command.
func (s *session) commandHelp(c *command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", strings.TrimSpace(c.name+" "+c.args), c.about)
	if flags := c.flagHelp(); len(flags) > 0 {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(flags, "\n"))
	}
	b.WriteString(strings.ReplaceAll(c.more, "HOST", s.host()))
	return b.String()
}

// example is a command line that whoever reads it can run.
func (s *session) example(verb, topic string, isPublic bool) string {
	if isPublic {
		verb += " -p"
	}
	return s.host() + " " + verb + " " + quoted(topic)
}

// quoted writes a topic for the client's shell and, behind it, for our own words.
func quoted(topic string) string {
	if !strings.ContainsFunc(topic, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:@%+=,", r))
	}) {
		return topic
	}
	once := "'" + strings.ReplaceAll(topic, "'", `'\''`) + "'"
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(once) + `"`
}

// host is how to reach this server: as configured, or as the client reached it.
func (s *session) host() string {
	host, port, _ := net.SplitHostPort(s.local)
	if s.srv.cfg.PublicHost != "" {
		host = s.srv.cfg.PublicHost
	}
	if s.srv.cfg.PublicPort > 0 {
		port = strconv.Itoa(s.srv.cfg.PublicPort)
	}
	if port == "22" {
		return "ssh " + host
	}
	return "ssh -p " + port + " " + host
}
