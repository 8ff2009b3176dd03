package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"
)

const login = "username: me, password: hush-mail"

func mailTo(mode, login, to string) string {
	return fmt.Sprintf(`{type: smtp, config: {host: mx.test, tls: %s, from: "Relay <relay@own.test>", to: %s, %s}}`, mode, to, login)
}

// TestMailArrives sends by all three ways of encryption and reads the mail.
func TestMailArrives(t *testing.T) {
	message := Message{Format: Markdown, Title: "Prüfung ✓", Text: "Something **important**\n\n[x](javascript:alert(1))", Priority: 5, Tags: []string{"disk", "prod"}}
	for mode, login := range map[string]string{"none": "", "starttls": login, "tls": login} {
		t.Run(mode, func(t *testing.T) {
			server := startMailServer(t, mode)
			send(t, server.sender(t), config(t, mailTo(mode, login, "[a@x.test, 'B <b@x.test>']")), message)
			got := server.next(t)
			if got.From != "relay@own.test" || strings.Join(got.To, " ") != "a@x.test b@x.test" || got.Helo != "own.test" || got.TLS != (mode != "none") || got.TLS != (got.User == "me") {
				t.Errorf("the envelope is %+v", got)
			}
			letter, err := mail.ReadMessage(strings.NewReader(got.Text))
			if err != nil {
				t.Fatal(err)
			}
			subject, err := new(mime.WordDecoder).DecodeHeader(letter.Header.Get("Subject"))
			if err != nil || subject != message.Title {
				t.Errorf("the subject is %q, %v", subject, err)
			}
			for name, want := range map[string]string{"Importance": "high", "Keywords": "disk, prod", "Auto-Submitted": "auto-generated", "From": `"Relay" <relay@own.test>`} {
				if letter.Header.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, letter.Header.Get(name), want)
				}
			}
			if id := letter.Header.Get("Message-Id"); !strings.HasPrefix(id, "<pw") || !strings.HasSuffix(id, "@own.test>") {
				t.Errorf("Message-Id is %q", id)
			}
			want := map[string]string{"text/plain": message.Text, "text/html": "<p>Something <strong>important</strong></p>\n<p>x</p>"}
			for mediaType, text := range parts(t, letter) {
				if strings.TrimSpace(strings.ReplaceAll(text, "\r\n", "\n")) != want[mediaType] {
					t.Errorf("%s is %q, want %q", mediaType, text, want[mediaType])
				}
				delete(want, mediaType)
			}
			if len(want) != 0 {
				t.Errorf("missing: %v", want)
			}
		})
	}
}

func parts(t *testing.T, letter *mail.Message) map[string]string {
	t.Helper()
	_, params, err := mime.ParseMediaType(letter.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for reader := multipart.NewReader(letter.Body, params["boundary"]); ; {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		mediaType, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		found[mediaType] = string(bytes.TrimSpace(text))
	}
}

// TestMailIsTriedAgainWhenTheServerSaysLater: a 4xx is "later", and the mail that
// then arrives is one.
func TestMailIsTriedAgainWhenTheServerSaysLater(t *testing.T) {
	server := startMailServer(t, "none")
	s := server.sender(t)
	send(t, s, config(t, mailTo("none", "", "later@x.test")), Message{Text: "first line\nsecond"})
	got := server.next(t)
	if !strings.Contains(got.Text, "Subject: first line\r\n") || s.Stats().Retried != 2 {
		t.Errorf("retried %d times: %s", s.Stats().Retried, got.Text)
	}
}

func TestMailFailuresAreInTheServersWords(t *testing.T) {
	plain, encrypted := startMailServer(t, "none"), startMailServer(t, "starttls")
	for name, test := range map[string]struct {
		server       *mailServer
		config, want string
	}{
		"no such user":   {plain, mailTo("none", "", "never@x.test"), "smtp: sending SMTP RCPT TO command: 550 \"5.1.1 no such user\""},
		"no encryption":  {plain, mailTo("starttls", login, "a@x.test"), "does not support STARTTLS"},
		"no TLS":         {plain, mailTo("tls", login, "a@x.test"), "smtp: "},
		"wrong password": {encrypted, mailTo("starttls", "username: me, password: hush-wrong", "a@x.test"), "535"},
		"wrong name":     {encrypted, strings.Replace(mailTo("starttls", login, "a@x.test"), "mx.test", "other.test", 1), "smtp: cannot connect: no such host other.test"},
	} {
		result, err := test.server.sender(t).Send(t.Context(), config(t, test.config), Message{Text: "x"}, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := result.Err(); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hush") || strings.Contains(err.Error(), "x.test") {
			t.Errorf("%s: %v, want %s", name, err, test.want)
		}
	}
	untrusting := newSender(t, Options{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, "127.0.0.1:"+encrypted.port)
	}})
	result, err := untrusting.Send(t.Context(), config(t, mailTo("starttls", login, "a@x.test")), Message{Text: "x"}, "")
	if err != nil || result.Err() == nil || !strings.Contains(result.Err().Error(), "certificate signed by unknown authority") {
		t.Errorf("a certificate nobody vouches for: %v, %v", err, result.Err())
	}
}

// TestMailServerThatHangsIsLeft: the conversation ends with the message.
func TestMailServerThatHangsIsLeft(t *testing.T) {
	server := startMailServer(t, "none")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		if server.lines.Scan() { // it has the recipient, and will not answer
			cancel(errors.New("enough"))
		}
	}()
	start := time.Now()
	result, err := server.sender(t).Send(ctx, config(t, mailTo("none", "", "hang@x.test")), Message{Text: "x"}, "")
	if err != nil || result.Err() == nil || result.Err().Error() != "smtp: enough" || time.Since(start) >= attemptTimeout {
		t.Errorf("%v, %v after %v", err, result.Err(), time.Since(start))
	}
}

// TestMailServerThatTalksWithoutEndIsLeft: an answer may have any number of lines.
func TestMailServerThatTalksWithoutEndIsLeft(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		for line := []byte(strings.Repeat("220-welcome\r\n", 1000)); ; {
			if _, err := conn.Write(line); err != nil {
				return
			}
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	server := &mailServer{port: port}
	result, err := server.sender(t).Send(t.Context(), config(t, mailTo("none", "", "a@x.test")), Message{Text: "x"}, "")
	if err != nil || result.Err() == nil || !strings.Contains(result.Err().Error(), errTalksTooMuch.Error()) {
		t.Error(err, result.Err())
	}
	<-done
}
