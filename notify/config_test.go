package notify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func TestConfigForms(t *testing.T) {
	for text, want := range map[string][]string{
		"":                nil,
		"null":            nil,
		"[]":              nil,
		matrixSeed:        {"matrix"},
		list(hookTo("a")): {"a"},
		list(matrixSeed, hookTo("a"), matrixSeed, matrixSeed):                                        {"matrix", "a", "matrix-2", "matrix-3"},
		list(hookTo("webhook"), "{type: webhook, config: {url: 'http://x.test'}}"):                   {"webhook", "webhook-2"},
		"{type: smtp, config: {host: mx.test, from: a@b.test, to: c@d.test}}":                        {"smtp"},
		"[&a {type: slack, config: &c {webhook_url: 'http://x.test'}}, {type: discord, config: *c}]": {"slack", "discord"},
	} {
		if got := config(t, text).Names(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s has %v, want %v", text, got, want)
		}
	}
}

// TestConfigInADocument: a Config is read and written as a field of another
// value, too.
func TestConfigInADocument(t *testing.T) {
	var document struct {
		Ntfy Config `yaml:"ntfy"`
	}
	if err := yaml.Unmarshal([]byte("ntfy:\n  type: slack\n  config: {webhook_url: 'http://x.test'}"), &document); err != nil || document.Ntfy.Empty() {
		t.Errorf("%v, %v", document.Ntfy, err)
	}
	err := yaml.Unmarshal([]byte("ntfy:\n  type: slack\n  config: {webhook: x}"), &document)
	if err == nil || err.Error() != "line 3, column 12: ntfy.config: unknown field \"webhook\"; slack has webhook_url" {
		t.Error(err)
	}
}

func TestConfigMistakesAreNamedWithTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"hello":                        "line 1, column 1: ntfy: must be a mapping with type and config, or a list of such mappings",
		"{}":                           "line 1, column 1: ntfy.type: missing; one of discord, gotify, mail, matrix, ntfy, shoutrrr, slack, smtp, telegram, webhook",
		"type: discrod":                "line 1, column 7: ntfy.type: unknown backend \"discrod\"; one of discord, gotify,",
		"type: [matrix]":               "line 1, column 7: ntfy.type: must be one value",
		"type: discord\nconfg: {}":     "line 2, column 1: ntfy: unknown field \"confg\"; there are type, name and config",
		"type: discord\ntype: discord": "line 2, column 1: ntfy: \"type\" is there twice",
		"type: discord":                "line 1, column 1: ntfy.config.webhook_url: missing; discord needs it",
		"type: discord\nconfig:\n  webhok_url: x":                                                                      "line 3, column 3: ntfy.config: unknown field \"webhok_url\"; discord has webhook_url",
		"type: discord\nconfig: {webhook_url: 'ftp://x'}":                                                              "line 2, column 23: ntfy.config.webhook_url: its value is not an http or https URL",
		"type: discord\nconfig: {webhook_url: }":                                                                       "ntfy.config.webhook_url: is empty",
		"type: discord\nconfig: {webhook_url: [a]}":                                                                    "must be one value, not a list or a mapping",
		"type: matrix\nconfig: {access_token: x, user: bot}":                                                           "ntfy.config.user: \"bot\" is not a Matrix user, @name:server",
		"type: matrix\nconfig: {access_token: x, room_id: 'r:m.o'}":                                                    "ntfy.config.room_id: \"r:m.o\" is not a room; rooms are !id:server or #alias:server",
		"type: matrix\nconfig: {access_token: \"a\\nb\"}":                                                              "ntfy.config.access_token: has a line end",
		"type: matrix\nconfig: {access_token: x, endpoint: 'http://u:p@m.o'}":                                          "credentials have fields of their own",
		"type: webhook\nconfig: {url: 'http://x', headers: {Host: x}}":                                                 "Host is set by the relay itself",
		"type: webhook\nconfig: {url: 'http://x', headers: {'a b': x}}":                                                "\"a b\" is not a header's name",
		"type: webhook\nconfig: {url: 'http://x', headers: x}":                                                         "ntfy.config.headers: must be a mapping",
		"type: ntfy\nconfig: {topic: a, username: b}":                                                                  "ntfy.config.username: goes with a password",
		"type: mail\nconfig: {host: h, from: a@b, to: x}":                                                              "ntfy.config.to: \"x\" is not a mail address",
		"type: mail\nconfig: {host: h, from: a@b, to: [a@b, c]}":                                                       "ntfy.config.to: \"c\" is not a mail address",
		"type: mail\nconfig: {host: h, from: a@b, to: a@b, port: 99999}":                                               "ntfy.config.port: \"99999\" is not a port, 1 to 65535",
		"type: mail\nconfig: {host: h, from: a@b, to: a@b, tls: maybe}":                                                "ntfy.config.tls: \"maybe\" is not one of starttls, tls, none",
		"type: mail\nconfig: {host: h, from: a@b, to: a@b, tls: none, username: a, password: b}":                       "ntfy.config.tls: none would send the password in the clear",
		"type: shoutrrr\nconfig: {url: 'nosuch://x'}":                                                                  "ntfy.config.url: unknown service \"nosuch\"; one of bark,",
		"type: shoutrrr\nconfig: {url: 'smtp://u:p@x/'}":                                                               "ntfy.config.url: smtp:// has a type of its own: use type: mail",
		"type: shoutrrr\nconfig: {url: 'mqtt://x/t'}":                                                                  "ntfy.config.url: unknown service \"mqtt\"",
		"type: shoutrrr\nconfig: {url: 'pushover://x'}":                                                                "ntfy.config.url: pushover: ",
		"- {type: webhook, name: a, config: {url: 'http://x'}}\n- {type: webhook, name: a, config: {url: 'http://x'}}": "line 2, column 3: ntfy[1].name: \"a\" is taken by an earlier target",
		"- {type: webhook, name: 'a,b', config: {url: 'http://x'}}":                                                    "ntfy[0].name: must be 1 to 64 of A-Z a-z 0-9 . _ -",
		"- - type: x": "line 1, column 3: ntfy[0]: must be a mapping",
		"&a [*a]":     "ntfy[0]: must be a mapping",
		list(strings.Split(strings.Repeat(hookTo("a")+";", 17), ";")[:17]...): "ntfy: more than 16 targets",
	} {
		_, err := decodeText(text)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s\n\tgave %v\n\twant %s", text, err, want)
		}
	}
}

// everySecret has "hush" in every field that holds one.
var everySecret = list(
	`{type: matrix, config: {access_token: hush-1, user: "@me:m.org"}}`,
	`{type: discord, config: {webhook_url: "https://d.test/api/webhooks/1/hush-2?wait=hush-3"}}`,
	`{type: slack, config: {webhook_url: "https://s.test/services/hush-4"}}`,
	`{type: telegram, config: {token: "1:hush-5", chat_id: 7}}`,
	`{type: ntfy, config: {topic: hush-6, token: hush-7}}`,
	`{type: ntfy, name: n2, config: {topic: hush-6, username: me, password: hush-8}}`,
	`{type: gotify, config: {endpoint: "https://g.test", token: hush-9}}`,
	`{type: webhook, config: {url: "https://u:hush-10@w.test/hush-11", secret: hush-12, headers: {X-Key: hush-13}}}`,
	`{type: mail, config: {host: mx.test, from: a@b.test, to: [c@d.test], username: me, password: hush-14}}`,
	`{type: shoutrrr, config: {url: "pushover://shoutrrr:hush-15@hush-16"}}`,
)

// TestConfigNeverShowsASecret tries every way to print one, on its own and in
// another value.
func TestConfigNeverShowsASecret(t *testing.T) {
	c := config(t, everySecret)
	type document struct {
		Ntfy   Config
		hidden Config
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("m", "config", c, "in", document{c, c})
	slog.New(slog.NewJSONHandler(&log, nil)).Info("m", "config", c, "in", document{c, c})
	asYAML, err := yaml.Marshal(document{Ntfy: c})
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(document{Ntfy: c})
	if err != nil {
		t.Fatal(err)
	}
	said := log.String() + string(asYAML) + string(asJSON)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		said += fmt.Sprintf(verb, c) + fmt.Sprintf(verb, &c) + fmt.Sprintf(verb, document{c, c}) + fmt.Sprintf(verb, []Config{c})
	}
	if strings.Contains(said, "hush") || strings.Contains(said, fmt.Sprintf("%x", "hush")) {
		t.Errorf("a secret is in\n%s", said)
	}
	if !strings.Contains(string(asYAML), "access_token: '[secret]'") || !strings.Contains(string(asYAML), "host: mx.test") || !strings.Contains(string(asYAML), "X-Key: '[secret]'") {
		t.Errorf("the rules as understood are\n%s", asYAML)
	}
	if got := config(t, matrixSeed).String(); got != "matrix (matrix)" {
		t.Errorf("String is %q", got)
	}
}

// TestConfigMistakesNeverShowASecret breaks each target and reads the error.
func TestConfigMistakesNeverShowASecret(t *testing.T) {
	for _, bad := range []string{
		`{type: slack, config: {webhook_url: "hush://x"}}`,
		`{type: telegram, config: {token: "hush/1", chat_id: 7}}`,
		`{type: webhook, config: {url: "https://x.test", headers: {X: "hush\u0000"}}}`,
		`{type: shoutrrr, config: {url: "pushover://hush-hush:hush-hush@/?devices=hush"}}`,
		`{type: shoutrrr, config: {url: "generic://hush-hush:hush-hush@/%zz"}}`,
		`{type: shoutrrr, config: {url: "slack://hush-1234567@hush-hush"}}`,
		`{type: shoutrrr, config: {url: "telegram://hush-1234567@telegram?bogus=hush-hush"}}`,
	} {
		if _, err := decodeText(bad); err == nil || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// FuzzDecode: whatever the node, there is a Config or a ConfigError, and the
// Config can be shown.
func FuzzDecode(f *testing.F) {
	f.Add(everySecret)
	f.Add(matrixSeed)
	f.Add("&a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		var node yaml.Node
		if yaml.Unmarshal([]byte(text), &node) != nil {
			return
		}
		c, err := Decode(&node)
		if err != nil {
			if _, ok := err.(*ConfigError); !ok || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q: %T %q", text, err, err)
			}
			return
		}
		if _, err := yaml.Marshal(c); err != nil {
			t.Fatal(err)
		}
		for _, name := range c.Names() {
			if picked, err := c.pick(name); err != nil || len(picked) != 1 {
				t.Fatalf("%q: %q picks %d targets, %v", text, name, len(picked), err)
			}
		}
	})
}
