package acl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// rulesRepo and rulesFile are where a user's rules are on the forge.
const (
	rulesRepo = ".patchwork"
	rulesFile = "config.yaml"
)

// What one listing may hold: fifty to a page is the forges' own limit.
const (
	pageSize = 50
	maxPages = 200
)

// Forgejo reads users' rules from a Forgejo or Gitea server, over its REST API,
// version 1. Its token needs to read repositories and users. It never shows the
// token, and follows no redirect to another host.
type Forgejo struct {
	base   *url.URL
	token  string
	client *http.Client
}

// NewForgejo reads from the server at base, such as https://git.example.com,
// with the token of the relay's own account there.
func NewForgejo(base, token string) (*Forgejo, error) {
	u, err := url.Parse(base)
	switch {
	case err != nil:
		return nil, errors.New("the forge's address is not a URL: say https://git.example.com")
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, errors.New("the forge's address must begin with https:// or http:// and name a host")
	case u.User != nil, u.RawQuery != "", u.Fragment != "":
		return nil, errors.New("the forge's address must have no user, query or fragment: the token goes in FORGEJO_TOKEN")
	case token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return nil, errors.New("the forge's token is missing or has a space in it: set FORGEJO_TOKEN")
	}
	return &Forgejo{base: u, token: token, client: forgeClient(u)}, nil
}

// String names the server; the token stays hidden however a Forgejo is printed.
func (f *Forgejo) String() string { return f.base.String() }

// GoString is String.
func (f *Forgejo) GoString() string { return f.String() }

// Format is String too, for verbs that would print fields.
func (f *Forgejo) Format(s fmt.State, _ rune) { fmt.Fprint(s, f.String()) }

// Close lets go of idle connections.
func (f *Forgejo) Close() { f.client.CloseIdleConnections() }

// File implements [Source]. Versions are the forge's ETags.
func (f *Forgejo) File(ctx context.Context, user, version string) (File, error) {
	if err := CheckUser(user); err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrNoUser, err)
	}
	header := http.Header{}
	if version != "" {
		header.Set("If-None-Match", version)
	}
	got, err := f.get(ctx, header, nil, "repos", user, rulesRepo, "media", rulesFile)
	switch {
	case err != nil:
		return File{}, err
	case got.status == http.StatusNotModified && version != "":
		return File{Unchanged: true, Version: version}, nil
	}
	return File{Data: got.body, Version: got.header.Get("ETag")}, got.mustBe(http.StatusOK)
}

// Keys implements [Source].
func (f *Forgejo) Keys(ctx context.Context, user string) (AccountKeys, error) {
	if err := CheckUser(user); err != nil {
		return AccountKeys{}, fmt.Errorf("%w: %w", ErrNoUser, err)
	}
	var keys AccountKeys
	n := 0
	err := f.pages(ctx, nil, func(body []byte) (int, bool, error) {
		var page []struct {
			Key string `json:"key"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return 0, false, err
		}
		news := false
		for _, entry := range page {
			n++
			key, _, err := parseKeyLine(entry.Key)
			if err != nil {
				keys.Skipped = append(keys.Skipped, n)
			} else if keys.add(key) {
				news = true
			}
		}
		return len(page), news, nil
	}, "users", user, "keys")
	return keys, err
}

// Users implements [Source]: the owners of the repositories of the right name
// that the token can read.
func (f *Forgejo) Users(ctx context.Context) ([]string, error) {
	seen := map[string]bool{}
	var users []string
	query := url.Values{"q": {rulesRepo}, "sort": {"id"}, "order": {"asc"}}
	err := f.pages(ctx, query, func(body []byte) (int, bool, error) {
		var page struct {
			OK   bool `json:"ok"`
			Data []struct {
				ID    int64  `json:"id"`
				Name  string `json:"name"`
				Owner struct {
					Login string `json:"login"`
				} `json:"owner"`
			} `json:"data"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return 0, false, err
		}
		if !page.OK {
			return 0, false, errors.New("the search failed")
		}
		news := false
		for _, repo := range page.Data {
			id := strconv.FormatInt(repo.ID, 10) + "/" + repo.Owner.Login + "/" + repo.Name
			news = news || !seen[id]
			seen[id] = true
			// Names on a forge know no case; in channels they are lower case.
			user := lower(repo.Owner.Login)
			if repo.Name == rulesRepo && CheckUser(user) == nil && !slices.Contains(users, user) {
				users = append(users, user)
			}
		}
		return len(page.Data), news, nil
	}, "repos", "search")
	if errors.Is(err, ErrNoUser) {
		err = errors.New("the forge has no API at its address (404): set FORGEJO_URL to that of its front page")
	}
	return users, err
}

// pages reads a listing to its end. each says how many entries a page had, and
// whether one of them was new: older forges answer some listings with the same
// page for ever.
func (f *Forgejo) pages(ctx context.Context, query url.Values, each func([]byte) (int, bool, error), path ...string) error {
	values := url.Values{"limit": {strconv.Itoa(pageSize)}}
	for k, v := range query {
		values[k] = v
	}
	read := 0
	for page := 1; page <= maxPages; page++ {
		values.Set("page", strconv.Itoa(page))
		got, err := f.get(ctx, nil, values, path...)
		if err != nil {
			return err
		}
		if err := got.mustBe(http.StatusOK); err != nil {
			return err
		}
		if len(got.body) > MaxDocument {
			return errors.New("the forge's answer is larger than 1 MiB")
		}
		entries, news, err := each(got.body)
		if err != nil {
			return errors.New("the forge's answer is not what its API says: is the address that of a Forgejo or Gitea?")
		}
		read += entries
		total, err := strconv.Atoi(got.header.Get("X-Total-Count"))
		switch {
		case entries == 0, !news, err == nil && read >= total, err != nil && entries < pageSize:
			return nil
		}
	}
	return nil
}
