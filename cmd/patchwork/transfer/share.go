package transfer

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// ShareCommand is 'patchwork share'.
func ShareCommand() *cli.Command {
	return &cli.Command{
		Name:      "share",
		Usage:     "send a file or directory to whoever downloads it",
		UsageText: "patchwork share [-m queue|pubsub [--receivers N]] [--encrypt | --to KEY… | --link] [-n p|h|r|u] [-s SECRET] [-t TOKEN] FILE [CHANNEL]",
		Description: "CHANNEL is FILE's name unless you say another. 'patchwork download CHANNEL' fetches it, with size and checksum agreed\n" +
			"at the end, and goes on after a cut; curl fetches it too. With --encrypt it is an age file of a passphrase\n" +
			"(PATCHWORK_PASSPHRASE, or typed), or of SSH keys; the relay cannot read it. --link writes a link that browsers\n" +
			"and 'patchwork download' open; its last part is the key, which no relay gets to see.",
		Flags: client.ChannelFlags(
			&cli.StringFlag{Name: "mode", Aliases: []string{"m"}, Value: "queue", Usage: "`MODE`: queue (one receiver) or pubsub (all who wait when the transfer begins)"},
			&cli.IntFlag{Name: "receivers", Value: 1, Usage: "with -m pubsub: begin when `N` wait, and go on until N have it"},
			&cli.BoolFlag{Name: "encrypt", Aliases: []string{"e"}, Usage: "encrypt with a passphrase, or with --to"},
			&cli.StringSliceFlag{Name: "to", Usage: "encrypt to this SSH public `KEY`, to all of a file of them, or to those of @USER that the relay knows; may be repeated"},
			&cli.BoolFlag{Name: "link", Usage: "encrypt with a key made for this once, and write the link that has it to standard output"},
			patienceFlag(),
		),
		Action: client.Action(share),
	}
}

func patienceFlag() cli.Flag {
	return &cli.DurationFlag{Name: "patience", Value: patienceDefault, Usage: "`DURATION` to wait for the other side to come back"}
}

func share(c *cli.Context, cl *client.Client) error {
	args, err := cmdline.PlainWords(c, 1, 2)
	if err != nil {
		return err
	}
	broadcast := false
	switch c.String("mode") {
	case "queue":
		if c.IsSet("receivers") {
			return cmdline.Usagef("--receivers goes with -m pubsub; without it there is one")
		}
	case "pubsub":
		broadcast = true
	default:
		return cmdline.Usagef("-m %q is no mode; there are queue and pubsub", c.String("mode"))
	}
	want := c.Int("receivers")
	if want < 1 || want > maxPeers {
		return cmdline.Usagef("--receivers %d: say a number from 1 to %d", want, maxPeers)
	}
	src, leftOut, err := newSharable(args[0])
	if err != nil {
		return err
	}
	if n := len(leftOut); n > 0 {
		more := ""
		if n > 5 {
			leftOut, more = leftOut[:5], fmt.Sprintf(" and %d more", n-5)
		}
		cl.Say("left out what is neither file nor directory: %s%s", strings.Join(leftOut, ", "), more)
	}
	channel := src.name
	if len(args) == 2 {
		channel = args[1]
	} else if cl.Space != "p" {
		return cmdline.Usagef("share: with -n %s say the CHANNEL too", cl.Space)
	}
	var key *seal
	address := ""
	if c.Bool("link") {
		if c.Bool("encrypt") || c.IsSet("to") {
			return cmdline.Usagef("--link has a key of its own; leave --encrypt and --to away")
		}
		key, address, err = newLinkedSeal(cl, channel, src.fileName())
	} else {
		key, err = newSeal(c.Context, cl, c.Bool("encrypt"), c.StringSlice("to"))
	}
	if err != nil {
		return err
	}
	back, err := cl.MakeHook(c.Context, "r")
	if err != nil {
		return err
	}
	s := newSharing(cl, src, back)
	s.path, s.seal, s.broadcast, s.want, s.patience = cl.Path(channel), key, broadcast, want, c.Duration("patience")
	if address != "" {
		if _, err := fmt.Fprintln(cl.Stdout, address); err != nil {
			return err
		}
	}
	cl.Say("sharing %s (%s); receive it with: patchwork download %s%s", cmdline.Printable(src.name), cmdline.Sized(src.size), spaceFlag(cl.Space), cmdline.Printable(channel))
	s.meter = newMeter(cl.Stderr, src.size, src.name)
	return s.run(c.Context)
}

func spaceFlag(space string) string {
	if space == "p" {
		return ""
	}
	return "-n " + space + " "
}
