package sshfront

import (
	"context"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gossh "golang.org/x/crypto/ssh"

	"patchwork/broker"
	"patchwork/sshfront/monitor"
)

// A partCaller is a key to which the owner of a namespace gave some rights there:
// patterns of topics by action.
type partCaller struct {
	ownCaller
	rights map[Action]string
}

func (p partCaller) Owns(context.Context) bool { return false }

func (p partCaller) Knows(owner string) bool { return owner == string(p.ownCaller) }

func (p partCaller) May(_ context.Context, a Action, n broker.Name) bool {
	ok, _ := path.Match(p.rights[a], n.Topic())
	return n.Namespace() == public || ok && n.Namespace() == p.Namespace()
}

func (p partCaller) Filter(ctx context.Context, a Action, namespace string) func(broker.Name) bool {
	if p.rights[a] == "" || namespace != p.Namespace() {
		return nil
	}
	return func(n broker.Name) bool { return p.May(ctx, a, n) }
}

// openShared opens a door where bob, whose key this is, is let in to some of
// alice's topics, and everybody else is a key that nobody knows.
func openShared(t *testing.T, get, post string, change func(*Config)) (d *door, alice, bob *gossh.Client) {
	t.Helper()
	hers, his := newKey(t), newKey(t)
	d = open(t, func(c *Config) {
		c.Broker = broker.New(broker.Options{})
		c.Identify = func(_ context.Context, id Identity, _ string) (Caller, error) {
			switch gossh.FingerprintSHA256(id.Key) {
			case gossh.FingerprintSHA256(hers.PublicKey()):
				return UserCaller("alice"), nil
			case gossh.FingerprintSHA256(his.PublicKey()):
				return partCaller{"alice", map[Action]string{Receive: get, Send: post}}, nil
			}
			return KeyCaller(id.Key), nil
		}
		if change != nil {
			change(c)
		}
	})
	return d, d.dial(hers), d.dial(his)
}

// soon is wait for a command that must end by itself, and is ended if it does not.
func (r *run) soon() int {
	r.t.Helper()
	late := time.AfterFunc(20*time.Second, func() { r.ses.Close() })
	defer late.Stop()
	return r.wait()
}

// refuses wants a command to be refused in one line, with nothing on stdout.
func refuses(t *testing.T, c *gossh.Client, cmd, part string) {
	t.Helper()
	r := start(t, c, cmd)
	r.in.Close()
	code, stderr := r.soon(), r.err.String()
	if code != 1 || r.out.String() != "" || !strings.HasPrefix(stderr, "access denied") || !strings.Contains(stderr, part) || strings.Count(stderr, "\n") != 1 {
		t.Errorf("%s: %d %q %q", cmd, code, r.out.String(), stderr)
	}
}

// An access list lets others in where the rules of the namespace do not, and who
// brings it: so who may only receive, or only send, must not bring one.
func TestWhoBringsAnAccessListMustBeInAltogether(t *testing.T) {
	for _, c := range []struct {
		get, post string
		commands  []string
	}{
		{get: "shared/*", commands: []string{"sub -a carol shared/x", "sub -k -a carol shared/y"}},
		{get: "queue/*", commands: []string{"sub -a carol queue/x"}},
		{post: "shared/*", commands: []string{"pub -e -b=false -a carol shared/x", "pub -e -a carol shared/x"}},
		{post: "queue/*", commands: []string{"pub -e -a carol queue/x"}},
		{get: "res/*", commands: []string{"sub -a carol res/api"}},
		{post: "r*/*", commands: []string{"pub -e -a carol res/api", "pub -e -a carol req/api"}},
	} {
		d, _, bob := openShared(t, c.get, c.post, nil)
		for _, cmd := range c.commands {
			refuses(t, bob, cmd, "who brings an access list")
		}
		if n := d.b.Stats().Channels; n != 0 {
			t.Errorf("%d channels are there", n)
		}
	}
	d, _, bob := openShared(t, "shared/*", "shared/*", nil)
	start(t, bob, "sub -k -a carol shared/x")
	eventually(t, "the list is there", func() bool { return d.b.AccessOf(parse(t, "alice/shared/x")) != nil })
}

// Those on the list of a request/response channel may use both of its ends.
func TestAnAccessListOnAServiceTakesTheRightsToBothOfItsEnds(t *testing.T) {
	_, _, bob := openShared(t, "res/*", "res/*", nil)
	refuses(t, bob, "sub -a carol res/api", "alice/req/api")
	refuses(t, bob, "pub -e -a carol res/api", "alice/req/api")

	d, _, bob := openShared(t, "re?/*", "re?/*", nil)
	start(t, bob, "sub -a carol res/api")
	eventually(t, "the list is there", func() bool { return d.b.AccessOf(parse(t, "alice/req/api")) != nil })
}

// A guest is there by somebody else's list alone, and cannot let others in.
func TestAGuestBringsNoAccessList(t *testing.T) {
	d, alice, _ := openShared(t, "", "", nil)
	guest := newKey(t)
	start(t, alice, "sub -k -a "+KeyNamespace(guest.PublicKey())+" plans")
	d.subscribers(parse(t, "alice/plans"), 1)
	for _, cmd := range []string{"sub -a carol alice/plans", "pub -e -a carol alice/plans"} {
		refuses(t, d.dial(guest), cmd, "who brings an access list")
	}
	if list := d.b.AccessOf(parse(t, "alice/plans")); len(list) != 1 {
		t.Errorf("the list is %v", list)
	}
}

// A key that the owner of a namespace gave a part of it is not the owner: the
// owner's access lists name it by its fingerprint or not at all.
func TestAKeyWithSomeRightsIsNotTheUserOnAccessLists(t *testing.T) {
	d, alice, bob := openShared(t, "*", "*", nil)
	start(t, alice, "sub -k -a carol plans")
	plans := parse(t, "alice/plans")
	d.subscribers(plans, 1)
	for _, cmd := range []string{"sub plans", "pub -e plans", "pipe alice/plans"} {
		refuses(t, bob, cmd, "list")
	}
	// Nor does a list that lets alice in let him in.
	carol := newKey(t)
	start(t, d.dial(carol), "sub -p -k -a alice news")
	news := parse(t, "public/news")
	d.subscribers(news, 1)
	refuses(t, bob, "sub -p news", "list")
	start(t, alice, "sub -p -k news")
	d.subscribers(news, 2)
	// He takes no part in a list of hers.
	refuses(t, bob, "sub -a mallory plans", "list")
	if list := d.b.AccessOf(plans); len(list) != 1 {
		t.Errorf("her list is %v", list)
	}
}

func TestAKeyWithSomeRightsSeesNoMoreThanThatInLs(t *testing.T) {
	d, alice, bob := openShared(t, "shared*", "drop*", nil)
	for _, topic := range []string{"shared", "drop", "private"} {
		start(t, alice, "sub -k "+topic)
		d.subscribers(parse(t, "alice/"+topic), 1)
	}
	start(t, alice, "sub -p -k news")
	d.subscribers(parse(t, "public/news"), 1)
	if code, out, _ := do(t, bob, "ls -json", ""); code != 0 || strings.Count(out, "topic") != 1 || !strings.Contains(out, `"alice/shared"`) {
		t.Errorf("%d %s", code, out)
	}
	if code, out, _ := do(t, alice, "ls -json", ""); code != 0 || strings.Count(out, "topic") != 4 {
		t.Errorf("she sees %d %s", code, out)
	}
	_, _, stranger := openShared(t, "", "*", nil)
	if code, out, _ := do(t, stranger, "ls -json", ""); code != 0 || out != "[]\n" {
		t.Errorf("who may receive nothing: %d %s", code, out)
	}
}

// Monitors and notifications are the owner's own.
func TestAKeyWithSomeRightsHasNoMonitorsAndNotifiesNobody(t *testing.T) {
	store, err := monitor.Open(filepath.Join(t.TempDir(), "monitors.db"), monitor.Options{Watcher: &ears{on: map[broker.Name]func(){}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	var sent atomic.Int32
	_, alice, bob := openShared(t, "*", "*", func(c *Config) {
		c.Monitors = store
		c.Notify = func(context.Context, string, Notification) error { sent.Add(1); return nil }
	})
	for _, cmd := range []string{"monitor shared 1h", "monitor shared -d", "status", "uptime shared", "rss", "notify"} {
		refuses(t, bob, cmd, "this is for alice alone")
	}
	if n := len(store.List("alice")); n != 0 || sent.Load() != 0 {
		t.Errorf("%d monitors, %d notifications", n, sent.Load())
	}
	for _, cmd := range []string{"monitor shared 1h", "status", "uptime shared", "rss", "notify"} {
		if code, _, stderr := do(t, alice, cmd, ""); code != 0 {
			t.Errorf("alice's %s: %d %q", cmd, code, stderr)
		}
	}
}

// A guest who waits in the channel's line when the list goes is shown out. One who
// waits for input, or is busy with a message, finds no way back in.
func TestAGuestBetweenTwoMessagesLeavesWithTheAccessList(t *testing.T) {
	d, alice, _ := openShared(t, "", "", nil)
	guest := newKey(t)
	list := func(topic string) *broker.Publisher {
		p, err := d.b.Publish(parse(t, "alice/"+topic), broker.PublishOptions{
			As: broker.Identity{User: "alice"}, Access: []string{KeyNamespace(guest.PublicKey())},
		})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	shownOut := func(r *run) {
		t.Helper()
		if code := r.soon(); code != 1 || !strings.Contains(r.err.String(), "access denied") {
			t.Errorf("%d %q", code, r.err.String())
		}
	}
	p := list("queue/x")
	sub := start(t, alice, "sub -k queue/x")
	lines := start(t, d.dial(guest), "pub -l alice/queue/x").send("one\n")
	eventually(t, "the first arrived", func() bool { return sub.out.String() == "one\n" && d.b.Stats().Transfers == 0 })
	p.Close()
	lines.send("two\n")
	shownOut(lines)
	if got := sub.out.String(); got != "one\n" {
		t.Errorf("she got %q", got)
	}

	p = list("req/api")
	serves := start(t, d.dial(guest), "sub -k alice/res/api")
	asks := start(t, alice, "pub req/api").send("begun")
	eventually(t, "it is taken", func() bool { return serves.out.String() == "begun" })
	p.Close()
	asks.in.Close()
	shownOut(serves)
}
