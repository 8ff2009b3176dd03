// Package doctor is 'patchwork doctor': it finds out what breaks between here and a
// relay, and writes the configuration of the proxy in between that mends it.
package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// Command is 'patchwork doctor'.
func Command() *cli.Command {
	return &cli.Command{
		Name:      "doctor",
		Usage:     "find out what breaks between here and a relay, and how to mend it",
		UsageText: "patchwork doctor [--quick] [--proxy NAME] [--json] [URL]\npatchwork doctor --config [--proxy NAME]",
		Description: "Every check is one line: ok, warn or FAIL, what was seen, and what it means. At the end comes the configuration of the proxy that mends it.\n" +
			"It uses public channels with random names, ten requests a second at most, and needs no token. Exit code 1: something fails.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "server", Usage: "`URL` of the relay, the same as the argument", DefaultText: "$PATCHWORK_SERVER, else http://localhost:8080"},
			&cli.StringFlag{Name: "ssh-port", Usage: "`PORT` of the relay's SSH door; -1 is none", DefaultText: "2222"},
			&cli.StringFlag{Name: "idle", Value: "75s", Usage: "say nothing for this `DURATION`, to see whether that is cut off"},
			&cli.BoolFlag{Name: "quick", Usage: "do not look at what silence does, which is what takes long"},
			&cli.StringFlag{Name: "body", Value: "64MiB", Usage: "try messages of up to this `SIZE`"},
			&cli.StringFlag{Name: "proxy", Usage: "write configuration for `NAME`: " + strings.Join(ProxyNames(), ", ") + ", or all", DefaultText: "the one that is seen, else nginx"},
			&cli.BoolFlag{Name: "config", Usage: "write the whole configuration of a proxy, and measure nothing"},
			&cli.BoolFlag{Name: "json", Usage: "write one JSON object"},
		},
		Action: func(c *cli.Context) error {
			args, err := cmdline.PlainWords(c, 0, 1)
			if err != nil {
				return err
			}
			if name := c.String("proxy"); name != "" && name != "all" && !slices.Contains(ProxyNames(), name) {
				return cmdline.Usagef("--proxy %q is none of %s and all", name, strings.Join(ProxyNames(), ", "))
			}
			if c.Bool("config") {
				_, err := io.WriteString(c.App.Writer, Config(cmdline.FirstOf(c.String("proxy"), "nginx")))
				return err
			}
			if len(args) == 1 {
				if err := c.Set("server", args[0]); err != nil {
					return err
				}
			}
			return client.Action(func(c *cli.Context, cl *client.Client) error {
				if len(args) == 1 {
					cl.From = client.OriginArgument
				}
				return examine(c, cl)
			})(c)
		},
	}
}

// Config is the configuration that the proxy of this name, or each of them with
// "all", needs for a relay that has none yet. It is that of 127.0.0.1:8080.
func Config(name string) string {
	var b strings.Builder
	for _, p := range proxiesNamed(name) {
		b.WriteString(p.config(everything))
	}
	return b.String()
}

// A Report is what the doctor has to say in the end, and its JSON.
type Report struct {
	URL    string            `json:"url"`
	Checks []Finding         `json:"checks"`
	Config map[string]string `json:"config,omitempty"` // by proxy: what mends what was found
	Relay  []string          `json:"relay,omitempty"`  // flags that the relay needs
}

func examine(c *cli.Context, cl *client.Client) error {
	e, err := newExam(c, cl)
	if err != nil {
		return err
	}
	defer e.close()
	asJSON := c.Bool("json")
	r := Report{Checks: []Finding{}}
	failed := 0
	e.examine(c.Context, func(f Finding) {
		r.Checks = append(r.Checks, f)
		if f.Verdict == VerdictFail {
			failed++
		}
		if !asJSON {
			fmt.Fprintln(cl.Stdout, f)
		}
	})
	if c.Context.Err() != nil {
		return c.Context.Err()
	}
	r.URL = e.base.String()
	r.mend(cmdline.FirstOf(c.String("proxy"), e.seenProxy(), "nginx"))
	if asJSON {
		out := json.NewEncoder(cl.Stdout)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		err = out.Encode(r)
	} else {
		_, err = io.WriteString(cl.Stdout, r.advice())
	}
	if err != nil {
		return err
	}
	if failed > 0 {
		return cmdline.ErrSaid
	}
	return nil
}

// mend puts together what mends the findings.
func (r *Report) mend(proxy string) {
	var remedies []remedy
	for _, f := range r.Checks {
		remedies = append(remedies, f.Mend...)
		if f.Flag != "" && !slices.Contains(r.Relay, f.Flag) {
			r.Relay = append(r.Relay, f.Flag)
		}
	}
	for _, p := range proxiesNamed(proxy) {
		if text := p.mending(remedies); text != "" {
			if r.Config == nil {
				r.Config = map[string]string{}
			}
			r.Config[p.name] = text
		}
	}
}

// advice is the end of the report as text; "" when there is nothing to mend.
func (r *Report) advice() string {
	var b strings.Builder
	for _, name := range ProxyNames() {
		if text := r.Config[name]; text != "" {
			fmt.Fprintf(&b, "\nTo mend it, %s needs:\n\n%s", name, text)
		}
	}
	for _, flag := range r.Relay {
		fmt.Fprintf(&b, "\nThe relay needs to be started with:\n\n%s\n", flag)
	}
	return b.String()
}

// A Verdict is how a check came out.
type Verdict string

// The verdicts. With a VerdictFail among them doctor exits with 1.
const (
	VerdictOK   Verdict = "ok"   // as it should be
	VerdictWarn Verdict = "warn" // worth knowing; nothing breaks
	VerdictFail Verdict = "FAIL" // something breaks, and Means says what
)

// A Finding is what one check has seen.
type Finding struct {
	Check   string   `json:"check"`
	Verdict Verdict  `json:"verdict"`
	Seen    string   `json:"seen"`
	Means   string   `json:"means,omitempty"`
	Mend    []remedy `json:"mend,omitempty"` // what of a proxy's configuration mends it
	Flag    string   `json:"flag,omitempty"` // what flag of the relay does

	late bool // it failed at what came after a silence
}

func (f Finding) String() string {
	line := fmt.Sprintf("%-4s  %-18s  %s", f.Verdict, f.Check, f.Seen)
	if f.Means != "" {
		line += "; " + f.Means
	}
	return strings.Map(func(r rune) rune { // one line a check, whatever a proxy put into its answer
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, line)
}

func good(check, seen string, args ...any) Finding {
	return Finding{Check: check, Verdict: VerdictOK, Seen: fmt.Sprintf(seen, args...)}
}

func warning(check, means string, seen string, args ...any) Finding {
	return Finding{Check: check, Verdict: VerdictWarn, Means: means, Seen: fmt.Sprintf(seen, args...)}
}

func bad(check, means string, seen string, args ...any) Finding {
	return Finding{Check: check, Verdict: VerdictFail, Means: means, Seen: fmt.Sprintf(seen, args...)}
}

// mendedBy says what in a proxy's configuration mends it.
func (f Finding) mendedBy(r ...remedy) Finding {
	f.Mend = r
	return f
}
