package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/textproto"
	"strings"

	"github.com/wneessen/go-mail"
)

// talk holds one conversation with the mail server. The library minds the
// context only while it dials, and leaves the connection open after an error: so
// the connection is closed here, when ctx ends and in any case at the end.
func (m *mailer) talk(ctx context.Context, w *wire, letter *mail.Msg) error {
	ctx, cancel := context.WithTimeoutCause(ctx, attemptTimeout, errNoAnswer)
	defer cancel()
	config := w.tls.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	config.ServerName, config.MinVersion = m.host, tls.VersionTLS12
	end := func() {}
	defer func() { end() }()
	client, err := mail.NewClient(m.host, m.options(config, func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := w.dial(dialing, network, address)
		if err != nil {
			return nil, err
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		end = func() {
			stop()
			_ = conn.Close()
		}
		bounded := &boundedConn{conn, maxConversation}
		if m.tls != "tls" {
			return bounded, nil
		}
		return tls.Client(bounded, config), nil
	})...)
	if err != nil {
		return err
	}
	connection, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return plainError(ctx, err)
	}
	if err := client.SendWithSMTPClient(connection, letter); err != nil {
		if ctx.Err() != nil {
			return plainError(ctx, err)
		}
		return mailError(err)
	}
	// The letter is taken: how the goodbye goes changes nothing.
	_ = client.CloseWithSMTPClient(connection)
	return nil
}

func (m *mailer) options(config *tls.Config, dial mail.DialContextFunc) []mail.Option {
	encryption := mail.NoTLS
	if m.tls == "starttls" {
		encryption = mail.TLSMandatory
	}
	options := []mail.Option{
		mail.WithPort(m.port), mail.WithTimeout(attemptTimeout), mail.WithTLSPolicy(encryption), mail.WithTLSConfig(config),
		mail.WithHELO(m.domain), mail.WithoutNoop(), mail.WithDialContextFunc(dial),
	}
	if m.user == "" {
		return options
	}
	// Named one by one: the library's own choice does not see that a connection it
	// did not dial is encrypted.
	return append(options, mail.WithUsername(m.user), mail.WithPassword(m.password), mail.WithOpportunisticSMTPAuth(
		mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthSCRAMSHA1, mail.SMTPAuthPlain, mail.SMTPAuthLogin, mail.SMTPAuthCramMD5))
}

// sendError is a mail server's No at sending, in its own words.
type sendError struct {
	words string
	code  int
}

func (e *sendError) Error() string { return e.words }

// mailError is the library's error without the recipients it adds, who are
// nobody's business but the configuration's.
func mailError(err error) error {
	var no *mail.SendError
	if !errors.As(err, &no) {
		return err
	}
	words, _, _ := strings.Cut(no.Error(), ", affected ")
	return &sendError{words, no.ErrorCode()}
}

// notNow tells the 4xx of a mail server, at any point of the conversation.
func notNow(err error) bool {
	var no *sendError
	if errors.As(err, &no) {
		return no.code >= 400 && no.code < 500
	}
	var reply *textproto.Error
	return errors.As(err, &reply) && reply.Code >= 400 && reply.Code < 500
}

// maxConversation is how much a mail server may say, in bytes: answers have any
// number of lines.
const maxConversation = 1 << 20

// boundedConn is a connection that ends when the other side has said too much.
type boundedConn struct {
	net.Conn
	left int
}

var errTalksTooMuch = errors.New("the mail server talks without end")

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTalksTooMuch
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}
