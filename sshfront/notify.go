package sshfront

import (
	"flag"
	"io"
	"time"
)

const notifyHelp = `
  Where it goes is in your config.yaml, under ntfy. stdin is the text.

  ./backup.sh 2>&1 | HOST notify -title "Backup" -type plain
  echo "**done**" | HOST notify -type markdown -to phone
`

// maxNotification is how much of stdin is read for a notification: one byte more
// than any service could be sent, so that too long a text is seen to be that.
const maxNotification = 64<<10 + 1

// A Notification is what notify sends.
type Notification struct {
	Text  string
	Title string
	Type  string // plain, markdown or html; "" is plain
	To    string // names of services, with commas between; "" is all
	Room  string // of a chat service; "" is the configured one
}

func notifyFlags(f *flag.FlagSet, o *options) {
	f.StringVar(&o.note.Title, "title", "", "`TITLE` above the text")
	f.StringVar(&o.note.Title, "t", "", "short for -title `TITLE`")
	f.StringVar(&o.note.Type, "type", "", "`TYPE` of the text: plain, markdown or html")
	f.StringVar(&o.note.To, "to", "", "only the services with these `NAMES`, with commas between")
	f.StringVar(&o.note.Room, "room", "", "`ROOM` of a chat service, instead of the configured one")
	f.BoolVar(&o.clean, "c", false, "no talk on stderr")
}

// runNotify sends stdin as one notification and waits until the services have it.
func runNotify(s *session, o *options) error {
	send := s.srv.cfg.Notify
	if send == nil {
		return refused("notifications are not available on this relay")
	}
	if err := s.needOwner(); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(stdinReader{s.ctx, s.openStdin()}, maxNotification))
	if err != nil {
		return err
	}
	o.note.Text = string(text)
	begun := time.Now()
	if err := send(s.ctx, s.caller.Namespace(), o.note); err != nil {
		if s.ctx.Err() != nil {
			return errClientGone
		}
		return refused("%v", err)
	}
	s.talk("sent, in %v", time.Since(begun).Round(time.Millisecond))
	return nil
}
