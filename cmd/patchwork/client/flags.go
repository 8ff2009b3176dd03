package client

import (
	"net/url"
	"time"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/cmdline"
)

// ServerFlag names the relay a client command speaks to.
func ServerFlag() cli.Flag {
	return &cli.StringFlag{Name: "server", Usage: "`URL` of the relay", DefaultText: "$PATCHWORK_SERVER, else http://localhost:8080"}
}

// ServerFlags are those of every client command.
func ServerFlags() []cli.Flag {
	return []cli.Flag{
		ServerFlag(),
		&cli.StringFlag{Name: "token", Aliases: []string{"t"}, Usage: "`TOKEN` of a user; better in the environment, for flags are seen by all", DefaultText: "$PATCHWORK_TOKEN"},
	}
}

// ChannelFlags are those of the commands that use a channel.
func ChannelFlags(more ...cli.Flag) []cli.Flag {
	return append(append(more,
		&cli.StringFlag{Name: "namespace", Aliases: []string{"n"}, Value: "p", Usage: "`NAMESPACE` of the channel: p (public), h or r (hooks), u (users: USER/CHANNEL)"},
		&cli.StringFlag{Name: "secret", Aliases: []string{"s"}, Usage: "`SECRET` of the hook", DefaultText: "$PATCHWORK_SECRET"},
	), ServerFlags()...)
}

// TimeoutFlag is -T, which bounds a wait.
func TimeoutFlag(what string) cli.Flag {
	return &cli.StringFlag{Name: "timeout", Aliases: []string{"T"}, Usage: "wait this many `SECONDS` " + what + ", or a duration such as 5m", DefaultText: "without end"}
}

// TimeoutQuery is what -T makes of a request.
func TimeoutQuery(c *cli.Context) (url.Values, error) {
	told := c.String("timeout")
	if told == "" {
		return url.Values{}, nil
	}
	d, err := time.ParseDuration(told)
	if err != nil {
		d, err = time.ParseDuration(told + "s")
	}
	if err != nil || d <= 0 {
		return nil, cmdline.Usagef("-T %q is no number of seconds above 0, and no duration such as 5m", told)
	}
	return url.Values{"timeout": {d.String()}}, nil
}
