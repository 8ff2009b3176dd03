package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"patchwork/cmd/patchwork/cmdline"
)

// healthcheckCommand is 'patchwork healthcheck': exit 0 when the relay answers,
// 1 when it does not. It is what a container without a shell runs.
func healthcheckCommand() *cli.Command {
	return &cli.Command{
		Name:      "healthcheck",
		Usage:     "ask a running relay whether it is well",
		UsageText: "patchwork healthcheck [--url URL]",
		Flags: []cli.Flag{&cli.StringFlag{
			Name:        "url",
			Usage:       "`URL` of the relay",
			DefaultText: "$PATCHWORK_SERVER, else http://localhost:$PORT, else port 8080",
		}},
		Action: func(c *cli.Context) error {
			if c.Args().Present() {
				return cmdline.Usagef("healthcheck takes no arguments, but got %q; the relay's address goes to --url", c.Args().First())
			}
			return healthcheck(c.Context, serverURL(c.String("url"), os.Getenv))
		},
	}
}

// serverURL is the relay that is meant, without a slash at the end.
func serverURL(told string, env func(string) string) string {
	url := "http://localhost:8080"
	switch {
	case told != "":
		url = told
	case env("PATCHWORK_SERVER") != "":
		url = env("PATCHWORK_SERVER")
	case env("PORT") != "":
		url = "http://localhost:" + env("PORT")
	}
	if !strings.Contains(url, "://") {
		url = "http://" + url
	}
	return strings.TrimRight(url, "/")
}

// healthcheck asks the relay at url. It returns nil when the answer is exactly
// the one a well relay gives, and takes 5 seconds at most.
func healthcheck(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(url, "/healthz")+"/healthz", nil)
	if err != nil {
		return cmdline.Usagef("--url %q is not a URL", url)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("the relay does not answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 100))
	if err != nil {
		return fmt.Errorf("the relay's answer broke off: %w", err)
	}
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(string(body)) != "OK!" {
		return fmt.Errorf("%s answered %s %q, a well relay says \"OK!\"", req.URL, resp.Status, body)
	}
	return nil
}
