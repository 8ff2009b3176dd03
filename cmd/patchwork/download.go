package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"filippo.io/age"
	"github.com/urfave/cli/v2"
)

func downloadCommand() *cli.Command {
	return &cli.Command{
		Name:      "download",
		Usage:     "receive a file or directory that somebody shares",
		UsageText: "patchwork download [--force] [-i KEYFILE] [-n p|h|r|u] [-s SECRET] [-t TOKEN] [-T SECONDS] CHANNEL|LINK [OUTPUT]",
		Description: "LINK is what 'share --link' wrote, or the page for files showed: it has the relay, the channel and the key.\n" +
			"OUTPUT is CHANNEL's last part unless you say another; - is standard output. Until all of it is there and its\n" +
			"checksum agreed, it is in OUTPUT.part, from where the same command goes on after a cut.",
		Flags: channelFlags(
			&cli.BoolFlag{Name: "force", Usage: "replace OUTPUT when it exists"},
			&cli.StringSliceFlag{Name: "identity", Aliases: []string{"i"}, Usage: "`KEYFILE` with the SSH private key, or the age identity, for an encrypted file; may be repeated", DefaultText: "~/.ssh/id_ed25519, ~/.ssh/id_rsa"},
			timeoutFlag("for the sender"),
			patienceFlag(),
		),
		Action: clientAction(download),
	}
}

func download(c *cli.Context, cl *client) error {
	args, err := plainWords(c, 1, 2)
	if err != nil {
		return err
	}
	query, err := timeoutQuery(c)
	if err != nil {
		return err
	}
	opening := &opening{c: cl, files: c.StringSlice("identity")}
	last, from := path.Base(strings.TrimSuffix(args[0], "/")), cl.path(args[0])
	if strings.Contains(args[0], "://") {
		link, err := parseDropLink(args[0])
		if err != nil {
			return usageError{"download: " + err.Error()}
		}
		if last, err = link.fileName(); err != nil && len(args) < 2 {
			return err
		}
		if *link.base != *cl.base { // who made the link is not to get what is for the relay of the environment
			cl.basic = nil
			if !c.IsSet("token") {
				cl.token = ""
			}
			if !c.IsSet("secret") {
				cl.secret = ""
			}
		}
		cl.base, from = link.base, "/"+escaped(link.channel)
		if link.key != nil {
			opening.all = []age.Identity{link.key}
		}
	}
	output := last
	if len(args) == 2 {
		output = args[1]
	}
	if output == "" || output == "." || output == ".." || output == "/" {
		return usagef("download: %q cannot be the name of a file; say OUTPUT", output)
	}
	d := &downloading{
		c: cl, path: from, query: query, patience: c.Duration("patience"), force: c.Bool("force"),
		opening: opening, keys: map[int][]byte{}, sum: newDigest(),
		link: &link{c: cl, up: true},
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
	if terminal(cl.stderr) {
		cl.say("waiting for the sender at %s%s; Ctrl-C ends it", cl.base, printable(from))
	}
	return d.run(c.Context)
}
