// Package bench is 'patchwork bench': it measures relays by templates of their URLs, and
// counts what they lose, double or damage.
package bench

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// Command is 'patchwork bench'.
func Command() *cli.Command {
	return &cli.Command{
		Name:      "bench",
		Usage:     "measure a relay of this family, or two against each other, by templates of their URLs",
		UsageText: "patchwork bench [--mode queue|pubsub] [--send URL --receive URL] [--vs-send URL --vs-receive URL] [--messages N] [--size BYTES] [--pairs P] [--json]",
		Description: "In URLs {n} is the number of a message, {pair} that of a sender and its receivers, {channel} a name for these two, {run} a name for the run.\n" +
			"Every message has a number that its receiver looks for: what was confirmed and never came is LOST, what came again is DOUBLED; both make exit code 1. A relay of ours has to be started with --rate-limit 0 for this.\n" +
			"With a --vs flag a second relay, or the same one used otherwise, is measured by turns with the first. Figures of different runs say little about each other.",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "mode", Aliases: []string{"m"}, Value: "queue", Usage: "`MODE`: queue (one receiver gets a message) or pubsub (all subscribers do)"},
			&cli.StringFlag{Name: "send", Usage: "template of the `URL` to send to, or of its path on the relay", DefaultText: "/p/bench-{run}-{n}, for pubsub /p/{channel}?pubsub=true"},
			&cli.StringFlag{Name: "receive", Usage: "template of the `URL` to receive from", DefaultText: "/p/bench-{run}-{n}, for pubsub /p/{channel}?follow=true"},
			&cli.StringFlag{Name: "method", Value: "POST", Usage: "`METHOD` to send with"},
			&cli.StringSliceFlag{Name: "header", Aliases: []string{"H"}, Usage: "`NAME:VALUE` of a header of all requests; may be repeated"},
			&cli.StringFlag{Name: "vs-mode", Usage: "`MODE` of the second one", DefaultText: "as the first"},
			&cli.StringFlag{Name: "vs-send", Usage: "template of the second `URL` to send to"},
			&cli.StringFlag{Name: "vs-receive", Usage: "template of the second `URL` to receive from"},
			&cli.StringFlag{Name: "messages", Value: "1000", Usage: "`NUMBER` of messages"},
			&cli.StringFlag{Name: "size", Value: "100", Usage: "`SIZE` of a message, such as 100 or 64KiB; 64 at least"},
			&cli.StringFlag{Name: "pairs", Value: "1", Usage: "`NUMBER` of senders at once, each with its receivers"},
			&cli.StringFlag{Name: "subscribers", Value: "1", Usage: "`NUMBER` of receivers of each message, with pubsub"},
			&cli.StringFlag{Name: "rounds", Usage: "`NUMBER` of rounds that the messages are sent in", DefaultText: "1, with --vs 5"},
			&cli.StringFlag{Name: "timeout", Aliases: []string{"T"}, Value: "10s", Usage: "`DURATION` that a message may take"},
			&cli.StringFlag{Name: "duration", Value: "1m", Usage: "`DURATION` after which all ends"},
			&cli.BoolFlag{Name: "json", Usage: "write one JSON object"},
		}, client.ServerFlags()...),
		Action: client.Action(measure),
	}
}

// A plan is what a command line of bench asks for.
type plan struct {
	targets  []*target // one or two
	rounds   int
	messages int // in a round, of each target
	size     int
	pairs    int
	timeout  time.Duration
	duration time.Duration
}

// mostMessages bounds what is remembered of one round: messages times receivers.
const mostMessages = 10_000_000

func newPlan(c *cli.Context, cl *client.Client) (*plan, error) {
	if _, err := cmdline.PlainWords(c, 0, 0); err != nil {
		return nil, err
	}
	p := &plan{}
	second := c.IsSet("vs-send") || c.IsSet("vs-receive") || c.IsSet("vs-mode")
	rounds := cmdline.FirstOf(c.String("rounds"), map[bool]string{false: "1", true: "5"}[second])
	var subscribers int
	for _, n := range []struct {
		flag, told string
		read       func(string) (int, error)
		to         *int
	}{
		{"messages", c.String("messages"), cmdline.Count, &p.messages},
		{"size", c.String("size"), cmdline.Size, &p.size},
		{"pairs", c.String("pairs"), cmdline.Count, &p.pairs},
		{"subscribers", c.String("subscribers"), cmdline.Count, &subscribers},
		{"rounds", rounds, cmdline.Count, &p.rounds},
	} {
		var err error
		if *n.to, err = n.read(n.told); err != nil {
			return nil, cmdline.Usagef("--%s %q %v", n.flag, n.told, err)
		}
	}
	for flag, to := range map[string]*time.Duration{"timeout": &p.timeout, "duration": &p.duration} {
		var err error
		if *to, err = cmdline.Positive(c.String(flag)); err != nil {
			return nil, cmdline.Usagef("--%s %q %v", flag, c.String(flag), err)
		}
	}
	switch {
	case p.size < leastSize:
		return nil, cmdline.Usagef("--size %d is too little: a message holds its number and run, and has %d bytes at least", p.size, leastSize)
	case p.messages > mostMessages/subscribers:
		return nil, cmdline.Usagef("--messages times --subscribers may be %d", mostMessages)
	case p.pairs > 10_000 || subscribers > 10_000/p.pairs:
		return nil, cmdline.Usagef("--pairs times --subscribers may be 10000")
	}
	p.messages = (p.messages + p.rounds - 1) / p.rounds
	p.pairs = min(p.pairs, p.messages)
	first, err := newTarget(c, cl, "", c.String("mode"), subscribers, p.pairs)
	if err != nil {
		return nil, err
	}
	p.targets = []*target{first}
	if second {
		other, err := newTarget(c, cl, "vs-", cmdline.FirstOf(c.String("vs-mode"), c.String("mode")), subscribers, p.pairs)
		if err != nil {
			return nil, err
		}
		p.targets = append(p.targets, other)
	}
	return p, nil
}

// newTarget reads a relay from flags with this prefix.
func newTarget(c *cli.Context, cl *client.Client, prefix, mode string, subscribers, pairs int) (*target, error) {
	t := &target{mode: mode, ears: 1, method: strings.ToUpper(c.String("method")), header: http.Header{}, token: cl.Token, base: cl.Base.String()}
	t.send, t.receive = c.String(prefix+"send"), c.String(prefix+"receive")
	if (t.send == "") != (t.receive == "") {
		return nil, cmdline.Usagef("--%[1]ssend and --%[1]sreceive go together", prefix)
	}
	switch {
	case mode != "queue" && mode != "pubsub":
		return nil, cmdline.Usagef("--%smode %q is no mode; there are queue and pubsub", prefix, mode)
	case t.send == "" && mode == "queue":
		t.send, t.receive = "/p/bench-{run}-{n}", "/p/bench-{run}-{n}"
	case t.send == "":
		t.send, t.receive = "/p/{channel}?pubsub=true", "/p/{channel}?follow=true"
	}
	var err error
	if t.send, err = checkTemplate("--"+prefix+"send", t.send, t.base); err != nil {
		return nil, err
	}
	if t.receive, err = checkTemplate("--"+prefix+"receive", t.receive, t.base); err != nil {
		return nil, err
	}
	if strings.Contains(t.send, "{n}") != t.each() {
		return nil, cmdline.Usagef("--%[1]ssend and --%[1]sreceive: {n} is to be in both or in none", prefix)
	}
	if mode == "pubsub" {
		if t.each() {
			return nil, cmdline.Usagef("--%sreceive: pubsub needs one channel for all messages: {channel}, not {n}", prefix)
		}
		t.ears = subscribers
	}
	for _, line := range c.StringSlice("header") {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, cmdline.Usagef("-H %q is not NAME:VALUE", line)
		}
		t.header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	transport.MaxIdleConns, transport.MaxIdleConnsPerHost = 0, pairs*(1+t.ears)+sweepers
	t.http = &http.Client{Transport: transport, CheckRedirect: cl.HTTP.CheckRedirect}
	return t, nil
}

// A Report is all that a run has to say.
type Report struct {
	Targets []Result         `json:"targets"`
	Rounds  int              `json:"rounds"` // that were finished
	Ratios  map[string]Ratio `json:"ratios,omitempty"`
}

func measure(c *cli.Context, cl *client.Client) error {
	p, err := newPlan(c, cl)
	if err != nil {
		return err
	}
	for _, t := range p.targets {
		defer t.http.CloseIdleConnections()
	}
	ctx, cancel := context.WithTimeout(c.Context, p.duration)
	defer cancel()
	rounds := p.run(ctx, cancel)
	report := Report{Rounds: len(rounds[len(rounds)-1])}
	for _, of := range rounds {
		if len(of) > 0 {
			report.Targets = append(report.Targets, together(of))
		}
	}
	if len(rounds) == 2 {
		report.Ratios = map[string]Ratio{}
		for _, f := range figures {
			if r, ok := ratios(rounds[0], rounds[1], f.of); ok {
				report.Ratios[f.name] = r
			}
		}
	}
	if c.Bool("json") {
		out := json.NewEncoder(cl.Stdout)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		err = out.Encode(report)
	} else {
		_, err = cl.Stdout.Write([]byte(report.String()))
	}
	switch {
	case err != nil:
		return err
	case c.Context.Err() != nil:
		return c.Context.Err()
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		cl.Say("the time is over; --duration gives more of it")
	}
	return report.judge(cl)
}

// judge is the error of a run in which not everything was well.
func (r Report) judge(cl *client.Client) error {
	for _, t := range r.Targets {
		switch {
		case t.Errors["send: "+tooMany]+t.Errors["receive: "+tooMany] > 0:
			return fmt.Errorf("%s says: too many requests; measure a relay of your own that was started with --rate-limit 0", t.Send)
		case t.Deliveries == 0:
			return fmt.Errorf("nothing arrived by way of %s; look at --server, --send and --receive", t.Send)
		case !t.well():
			return cmdline.ErrSaid
		}
	}
	return nil
}

// run makes the rounds, the targets by turns and each first as often as the other,
// and returns what came of them, by target. A relay that says "too many" has it stop.
func (p *plan) run(ctx context.Context, stop func()) [][]Result {
	results := make([][]Result, len(p.targets))
	name := strings.ToLower(rand.Text()[:8])
	for n := range p.rounds {
		for turn := range p.targets {
			which := (turn + n) % len(p.targets)
			if ctx.Err() != nil && len(results[which]) > 0 {
				return results
			}
			b := &round{
				target: p.targets[which], run: fmt.Sprintf("%s-%d-%d", name, which, n),
				messages: p.messages, size: p.size, pairs: p.pairs, timeout: p.timeout, stop: stop,
			}
			results[which] = append(results[which], b.do(ctx))
		}
	}
	return results
}

func (r Report) String() string {
	var b strings.Builder
	for _, t := range r.Targets {
		t.write(&b)
	}
	if len(r.Ratios) > 0 {
		fmt.Fprintf(&b, "the second to the first, median (least to most) of %d rounds:\n", r.Rounds)
	}
	for _, f := range figures {
		if ratio, ok := r.Ratios[f.name]; ok {
			fmt.Fprintf(&b, "  %s ×%.2f (%.2f to %.2f)\n", f.name, ratio.Median, ratio.Least, ratio.Most)
		}
	}
	return b.String()
}
