package monitor

import (
	"cmp"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// maxItems is how many changes a feed shows, the latest first.
const maxItems = 50

// Token returns the secret part of the address of a user's feed. It is made once
// and lasts as long as the user has monitors; without any it is ErrNone.
func (s *Store) Token(user string) (token string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return "", ErrClosed
	case s.count[user] == 0:
		return "", ErrNone
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		if there := tx.Bucket(tokensBucket).Get([]byte(user)); there != nil {
			token = string(there)
			return nil
		}
		token = strings.ToLower(rand.Text())
		if err := tx.Bucket(tokensBucket).Put([]byte(user), []byte(token)); err != nil {
			return err
		}
		return tx.Bucket(feedsBucket).Put([]byte(token), []byte(user))
	})
	return token, err
}

// Feed returns the feed (RSS 2.0) whose address holds token; false: there is none.
func (s *Store) Feed(token string) (text []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || token == "" {
		return nil, false
	}
	user := ""
	list := map[id][]entry{}
	err := s.db.View(func(tx *bbolt.Tx) error {
		user = string(tx.Bucket(feedsBucket).Get([]byte(token)))
		for who := range s.monitors {
			if user != "" && who.user == user {
				list[who] = history(tx, who)
			}
		}
		return nil
	})
	if err != nil || user == "" {
		return nil, false
	}
	windows := map[id]time.Duration{}
	for who := range list {
		windows[who] = s.monitors[who].window
	}
	text, err = render(user, list, windows)
	return text, err == nil
}

type rss struct {
	XMLName xml.Name `xml:"rss"`
	Version string   `xml:"version,attr"`
	Channel channel  `xml:"channel"`
}

type channel struct {
	Title       string `xml:"title"`
	Link        string `xml:"link"`
	Description string `xml:"description"`
	Items       []item `xml:"item"`
}

type item struct {
	Title       string `xml:"title"`
	Description string `xml:"description"`
	ID          guid   `xml:"guid"`
	Published   string `xml:"pubDate"`

	at time.Time
}

type guid struct {
	IsPermaLink bool   `xml:"isPermaLink,attr"`
	Text        string `xml:",chardata"`
}

// render writes the feed of a user's monitors.
func render(user string, list map[id][]entry, windows map[id]time.Duration) ([]byte, error) {
	var items []item
	for who, entries := range list {
		for i, e := range entries {
			if i == 0 || e.healthy == entries[i-1].healthy {
				continue // its making, or the beginning of what is remembered
			}
			title, text := words(who.topic.String(), e.healthy, windows[who], time.Time{})
			if !e.healthy {
				title, text = "ALERT: "+title, fmt.Sprintf("nothing was sent within %v", windows[who])
			}
			items = append(items, item{
				Title: title, Description: text, at: e.at,
				ID:        guid{Text: fmt.Sprintf("%s@%d", who.topic, e.at.UnixNano())},
				Published: e.at.UTC().Format(time.RFC1123Z),
			})
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.ID.Text, b.ID.Text))
	})
	items = items[:min(len(items), maxItems)]
	feed := rss{Version: "2.0", Channel: channel{
		Title:       "Monitors of " + user,
		Link:        "about:blank", // required, and there is no page
		Description: "Topics that became unhealthy, and that recovered",
		Items:       items,
	}}
	text, err := xml.MarshalIndent(feed, "", " ")
	return append([]byte(xml.Header), append(text, '\n')...), err
}
