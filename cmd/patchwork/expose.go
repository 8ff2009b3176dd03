package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/urfave/cli/v2"

	"patchwork/tunnel"

	"patchwork/cmd/patchwork/client"
	"patchwork/cmd/patchwork/cmdline"
)

// exposeCommand is 'patchwork expose': a local web server under a prefix of the
// relay, for as long as it runs.
func exposeCommand() *cli.Command {
	return &cli.Command{
		Name:      "expose",
		Usage:     "publish a local web server under /PREFIX/ of a relay",
		UsageText: "patchwork expose [flags] LOCAL_URL PREFIX",
		Flags: []cli.Flag{
			client.ServerFlag(),
			&cli.StringFlag{Name: "token", Usage: "`TOKEN` for the prefix: of tunnel-token, or USER:TOKEN of a user", DefaultText: "$PATCHWORK_TOKEN"},
			&cli.StringFlag{Name: "max-ttl", Value: "15s", Usage: "`DURATION` one request may last, for proxies that end longer ones"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 2 {
				return cmdline.Usagef("expose takes a LOCAL_URL and a PREFIX, such as: patchwork expose http://localhost:3000 my-site")
			}
			ttl, err := cmdline.Duration(c.String("max-ttl"))
			if err != nil || ttl < time.Second {
				return cmdline.Usagef("--max-ttl %q is not a duration of a second or more", c.String("max-ttl"))
			}
			err = tunnel.Expose(c.Context, tunnel.ExposeOptions{
				Server: serverURL(c.String("server"), os.Getenv), Local: c.Args().Get(0), Prefix: c.Args().Get(1),
				Token: cmdline.FirstOf(c.String("token"), os.Getenv("PATCHWORK_TOKEN")), MaxTTL: ttl,
				Ready: func(url string) { fmt.Fprintln(c.App.ErrWriter, "published at "+url) },
				Log:   slog.New(slog.NewTextHandler(c.App.ErrWriter, &slog.HandlerOptions{Level: slog.LevelWarn})),
			})
			return withToken(err, "one of 'patchwork tunnel-token', or USER:TOKEN of a user,")
		},
	}
}

// tunnelTokenCommand is 'patchwork tunnel-token': a token for expose, made with
// the relay's tunnel secret.
func tunnelTokenCommand() *cli.Command {
	return &cli.Command{
		Name:      "tunnel-token",
		Usage:     "make a token that opens tunnels",
		UsageText: "patchwork tunnel-token [flags] [SUBJECT]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "secret", Usage: "`TEXT` that the relay has as its tunnel secret", DefaultText: "$TUNNEL_SECRET"},
			&cli.StringFlag{Name: "ttl", Value: "0", Usage: "`DURATION` the token is good for; 0 is without end"},
		},
		Action: func(c *cli.Context) error {
			secret := cmdline.FirstOf(c.String("secret"), os.Getenv("TUNNEL_SECRET"))
			if secret == "" {
				return cmdline.Usagef("tunnel-token needs the relay's tunnel secret: set TUNNEL_SECRET")
			}
			ttl, err := cmdline.Duration(c.String("ttl"))
			if err != nil {
				return cmdline.Usagef("--ttl %q %s", c.String("ttl"), cmdline.OneLine(err))
			}
			if c.NArg() > 1 {
				return cmdline.Usagef("tunnel-token takes one SUBJECT, but got %q as well", c.Args().Get(1))
			}
			token, err := tunnel.GenerateToken([]byte(secret), c.Args().First(), ttl)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.App.Writer, token)
			return err
		},
	}
}

// huproxyCommand is 'patchwork huproxy': stdin and stdout of an ssh ProxyCommand.
func huproxyCommand() *cli.Command {
	return &cli.Command{
		Name:      "huproxy",
		Usage:     "join stdin and stdout to HOST:PORT behind a relay, for ssh's ProxyCommand",
		UsageText: "patchwork huproxy wss://RELAY/huproxy/USER/HOST/PORT",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "token", Usage: "`TOKEN` of that user", DefaultText: "$PATCHWORK_TOKEN"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() != 1 {
				return cmdline.Usagef("huproxy takes one URL, such as: wss://relay.example/huproxy/alice/%%h/%%p")
			}
			err := tunnel.HuproxyClient(c.Context, c.Args().First(), cmdline.FirstOf(c.String("token"), os.Getenv("PATCHWORK_TOKEN")), c.App.Reader, c.App.Writer)
			return withToken(err, "a token of the user in the URL")
		},
	}
}

// withToken adds to the refusal of a token where a better one goes.
func withToken(err error, what string) error {
	var refused *tunnel.RefusedError
	if errors.As(err, &refused) && refused.Status == http.StatusUnauthorized {
		return fmt.Errorf("%w; give %s with PATCHWORK_TOKEN or --token", err, what)
	}
	return err
}
