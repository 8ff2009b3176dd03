package notify

import (
	"cmp"
	"context"
	netmail "net/mail"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

// Mail by SMTP. Encrypted unless `tls: none` says otherwise, and then without a
// password.
var mailBackend = backend{
	name: "mail",
	fields: []field{
		{name: "host", kind: word, required: true},
		{name: "port", kind: number},
		{name: "tls", kind: oneOf, value: "starttls", choices: []string{"starttls", "tls", "none"}},
		{name: "username", kind: word},
		{name: "password", kind: word, secret: true},
		{name: "from", kind: address, required: true},
		{name: "to", kind: mailList, required: true},
	},
	open: openMail,
}

var mailPorts = map[string]string{"starttls": "587", "tls": "465", "none": "25"}

type mailer struct {
	host, user, password string
	port                 int
	tls                  string
	from                 string
	domain               string // of from: what the relay calls itself
	to                   []string
}

func openMail(v values) (courier, error) {
	switch {
	case v.has("username") != v.has("password"):
		return nil, &fieldError{"username", "and password go together"}
	case v.has("password") && v.text("tls") == "none":
		return nil, &fieldError{"tls", "none would send the password in the clear; leave the password out or use starttls"}
	}
	port, err := strconv.Atoi(cmp.Or(v.text("port"), mailPorts[v.text("tls")]))
	if err != nil {
		return nil, &fieldError{"port", "is not a number"}
	}
	sender, err := netmail.ParseAddress(v.text("from"))
	if err != nil {
		return nil, &fieldError{"from", "is not a mail address"}
	}
	m := &mailer{
		host: v.text("host"), user: v.text("username"), password: v.text("password"), port: port,
		tls: v.text("tls"), from: v.text("from"), domain: sender.Address[strings.LastIndexByte(sender.Address, '@')+1:], to: v.list("to"),
	}
	if _, err := mail.NewClient(m.host, mail.WithPort(m.port)); err != nil {
		return nil, &fieldError{"host", "is not a mail server's name"}
	}
	return m, nil
}

func (m *mailer) deliver(ctx context.Context, w *wire, p *parcel) error {
	letter, err := m.letter(p)
	if err != nil {
		return err
	}
	// A mail server's 4xx is a "not now", as 503 is: nothing was taken.
	return w.retry(ctx, func() (time.Duration, error) {
		err := m.talk(ctx, w, letter)
		if notNow(err) {
			return 0, &again{err}
		}
		return 0, err
	})
}

// letter is the mail. Its Message-ID is the message's own, the same at every
// attempt, so that a mailbox can tell a second copy.
func (m *mailer) letter(p *parcel) (*mail.Msg, error) {
	letter := mail.NewMsg()
	if err := letter.From(m.from); err != nil {
		return nil, err
	}
	if err := letter.To(m.to...); err != nil {
		return nil, err
	}
	letter.SetMessageIDWithValue(p.id + "@" + m.domain)
	letter.SetDate()
	letter.Subject(cmp.Or(p.Title, subject(p.plain())))
	switch {
	case p.Priority == 1 || p.Priority == 2:
		letter.SetImportance(mail.ImportanceLow)
	case p.Priority >= 4:
		letter.SetImportance(mail.ImportanceHigh)
	}
	for _, tag := range p.Tags {
		letter.SetGenHeader("Keywords", append(letter.GetGenHeader("Keywords"), tag)...)
	}
	// Said by RFC 3834 of mail that no person wrote: no holiday reply comes back.
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	letter.SetBodyString(mail.TypeTextPlain, p.plain())
	if html := p.html(); html != "" {
		letter.AddAlternativeString(mail.TypeTextHTML, html)
	}
	return letter, nil
}

// subject is the first line of a text that has no title.
func subject(text string) string {
	short, _ := cutBytes(oneLine(text), 80)
	return cmp.Or(short, "Notification")
}
