package transfer

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// DownloadCommand is 'patchwork download'.
func DownloadCommand() *cli.Command {
	return &cli.Command{
		Name:      "download",
		Usage:     "receive a file or directory that somebody shares",
		UsageText: "patchwork download [--force] [-i KEYFILE] [-n p|h|r|u] [-s SECRET] [-t TOKEN] [-T SECONDS] CHANNEL|LINK [OUTPUT]",
		Description: "LINK is what 'share --link' wrote, or the page for files showed: it has the relay, the channel and the key.\n" +
			"OUTPUT is CHANNEL's last part unless you say another; - is standard output. Until all of it is there and its\n" +
			"checksum agreed, it is in OUTPUT.part, from where the same command goes on after a cut.",
		Flags: client.ChannelFlags(
			&cli.BoolFlag{Name: "force", Usage: "replace OUTPUT when it exists"},
			&cli.StringSliceFlag{Name: "identity", Aliases: []string{"i"}, Usage: "`KEYFILE` with the SSH private key, or the age identity, for an encrypted file; may be repeated", DefaultText: "~/.ssh/id_ed25519, ~/.ssh/id_rsa"},
			client.TimeoutFlag("for the sender"),
			patienceFlag(),
		),
		Action: client.Action(download),
	}
}

func download(c *cli.Context, cl *client.Client) error {
	args, err := cmdline.PlainWords(c, 1, 2)
	if err != nil {
		return err
	}
	query, err := client.TimeoutQuery(c)
	if err != nil {
		return err
	}
	opening := &opening{c: cl, files: c.StringSlice("identity")}
	last, from := path.Base(strings.TrimSuffix(args[0], "/")), cl.Path(args[0])
	if strings.Contains(args[0], "://") {
		link, err := parseDropLink(args[0])
		if err != nil {
			return cmdline.Usagef("download: %v", err)
		}
		if last, err = link.fileName(); err != nil && len(args) < 2 {
			return err
		}
		if *link.base != *cl.Base { // who made the link is not to get what is for the relay of the environment
			cl.Basic = nil
			if !c.IsSet("token") {
				cl.Token = ""
			}
			if !c.IsSet("secret") {
				cl.Secret = ""
			}
		}
		cl.Base, cl.From, from = link.base, client.OriginArgument, "/"+client.Escaped(link.channel)
		if link.key != nil {
			opening.all = []age.Identity{link.key}
		}
	}
	output := last
	if len(args) == 2 {
		output = args[1]
	}
	if output == "" || output == "." || output == ".." || output == "/" {
		return cmdline.Usagef("download: %q cannot be the name of a file; say OUTPUT", output)
	}
	d := &downloading{
		c: cl, path: from, query: query, patience: c.Duration("patience"), force: c.Bool("force"),
		opening: opening, keys: map[int][]byte{}, sum: newDigest(), lookAfter: lookAfter,
		link: client.NewLink(cl, ""),
	}
	if output != "-" {
		if info, err := os.Stat(output); err == nil && info.IsDir() && len(args) == 2 {
			output = filepath.Join(output, last)
		}
		d.output = output
		if err := d.free(); err != nil {
			return err
		}
		// Before anything is taken from the channel.
		if d.part, err = openPart(output + ".part"); err != nil {
			return err
		}
		defer d.leave()
	}
	if cmdline.Terminal(cl.Stderr) {
		cl.Say("waiting for the sender at %s%s; Ctrl-C ends it", cl.Base, cmdline.Printable(from))
	}
	return d.run(c.Context)
}
