package sshfront

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"patchwork/broker"
)

const lsHelp = `
  HOST ls
  HOST ls -json | jq -r '.[] | select(.waiting > 0) | .topic'
`

// A listed is one topic as ls shows it.
type listed struct {
	Topic       string   `json:"topic"` // full name
	Publishers  int      `json:"publishers"`
	Subscribers int      `json:"subscribers"`
	Pipes       int      `json:"pipes"`
	Waiting     int      `json:"waiting"` // publishers that wait for somebody to receive
	Access      []string `json:"access"`
}

// runLs lists the topics of the caller's own namespace and the public ones that
// the caller's sessions are on.
func runLs(s *session, o *options) error {
	list := s.topics()
	if o.json {
		return s.printJSON(list)
	}
	if len(list) == 0 {
		s.talk("no topic is in use; begin with: %s", s.example("sub", "mytopic", false))
		return nil
	}
	return s.table("TOPIC\tPUBLISHERS\tSUBSCRIBERS\tPIPES\tWAITING\tACCESS", func(row func(...any)) {
		for _, l := range list {
			row(l.Topic, l.Publishers, l.Subscribers, l.Pipes, l.Waiting, strings.Join(l.Access, ","))
		}
	})
}

// table prints rows under a head whose columns are separated by tabs.
func (s *session) table(head string, fill func(row func(...any))) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	fill(func(cells ...any) {
		texts := make([]string, len(cells))
		for i, c := range cells {
			texts[i] = fmt.Sprint(c)
		}
		fmt.Fprintln(w, strings.Join(texts, "\t"))
	})
	if err := w.Flush(); err != nil {
		return err
	}
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return s.print(strings.Join(lines, "\n"))
}

// printJSON prints a list for programs.
func (s *session) printJSON(list any) error {
	text, err := json.Marshal(list)
	if err != nil {
		return err
	}
	return s.print(string(text) + "\n")
}

func (s *session) topics() []listed {
	b := s.srv.cfg.Broker
	shown := func(broker.Name) bool { return true }
	if s.as.User == "" { // with some rights only, there is only that to see
		if shown = s.caller.Filter(s.ctx, Receive, s.caller.Namespace()); shown == nil {
			shown = func(broker.Name) bool { return false }
		}
	}
	own, held := s.caller.Namespace(), s.srv.held.of(s.as.Key)
	inUse := map[broker.Name]broker.Counts{}
	b.Each(func(n broker.Name, c broker.Counts) {
		if n.Namespace() == own && shown(n) || held.named(n) || held.matched(n) {
			inUse[n] = c
		}
	})
	list := []listed{} // [] in JSON, and not null
	for n, c := range inUse {
		access := b.AccessOf(n)
		if access != nil && n.Namespace() != own && !held.named(n) {
			continue // a pattern is not on it
		}
		list = append(list, listed{
			Topic:       n.String(),
			Publishers:  c.Producers,
			Subscribers: c.Consumers + c.Subscribers - c.Pipes,
			Pipes:       c.Pipes,
			Waiting:     c.Waiting,
			Access:      append([]string{}, access...),
		})
	}
	slices.SortFunc(list, func(a, b listed) int { return cmp.Compare(a.Topic, b.Topic) })
	return list
}
