package main

import (
	"context"
	"errors"
	"log/slog"

	"patchwork/acl"
	"patchwork/notify"
	"patchwork/sshfront"
)

// notifier sends notifications for the SSH door: each through the services of the
// user whose namespace it is. Errors are one plain line.
func notifier(store *acl.Store, sender *notify.Sender) func(context.Context, string, sshfront.Notification) error {
	return func(ctx context.Context, user string, n sshfront.Notification) error {
		services, err := store.Notifications(ctx, user)
		if err != nil {
			return err
		}
		m := notify.Message{Format: notify.Format(n.Type), Title: n.Title, Text: n.Text, Room: n.Room}
		result, err := sender.Send(ctx, services, m, n.To)
		if err != nil {
			return err
		}
		return result.Err()
	}
}

// alert sends what a monitor has to say, to users who have services.
func alert(store *acl.Store, sender *notify.Sender, log *slog.Logger) func(ctx context.Context, user, title, text string) {
	send := notifier(store, sender)
	return func(ctx context.Context, user, title, text string) {
		err := send(ctx, user, sshfront.Notification{Title: title, Text: text})
		if err != nil && !errors.Is(err, notify.ErrNone) {
			log.Warn("a monitor's alert did not arrive", "error", err)
		}
	}
}
