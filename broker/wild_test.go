package broker

import (
	"io"
	"testing"
)

func pattern(s string) Pattern {
	p, err := ParsePattern(s)
	if err != nil {
		panic(err)
	}
	return p
}

func allowAll(Name) bool { return true }

func TestAPatternFollowsPastAndFutureChannels(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		past := publish(t, b, name("public/logs/a"), PublishOptions{})
		s, err := b.SubscribeMatch(pattern("public/logs/*"), allowAll, SubscribeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		future := publish(t, b, name("public/logs/b/c"), PublishOptions{})
		other := publish(t, b, name("public/other"), PublishOptions{})
		say(t, past, "1", 1)
		wantNext(t, s, "[1]")
		say(t, future, "2", 1)
		say(t, other, "3", 0)
		events, _ := s.Next(t.Context())
		if script(events) != "[2]" || events[0].Info.Channel != name("public/logs/b/c") {
			t.Error(script(events))
		}
		past.Close()
		say(t, future, "4", 1)
		wantNext(t, s, "[4]")
		future.Close()
		wantEnd(t, s, io.EOF)
		s.Close()
		other.Close()
	})
}

func TestAPatternReachesOnlyWhatItIsAllowed(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		open, secret := name("public/open"), name("public/secret")
		before := publish(t, b, secret, PublishOptions{})
		s, _ := b.SubscribeMatch(pattern("public/*"), func(n Name) bool { return n != secret }, SubscribeOptions{Stay: true})
		say(t, before, "x", 0)
		before.Close()
		after := publish(t, b, secret, PublishOptions{})
		say(t, after, "x", 0)
		p := publish(t, b, open, PublishOptions{})
		say(t, p, "y", 1)
		wantNext(t, s, "[y]")
		after.Close()
		p.Close()
		s.Close()
	})
}

func TestAPatternMakesNoChannelExist(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		s, _ := b.SubscribeMatch(pattern("public/*"), allowAll, SubscribeOptions{Stay: true})
		if st := b.Stats(); st.Channels != 0 || st.Subscribers != 1 {
			t.Errorf("%+v", st)
		}
		for range 3 {
			p := publish(t, b, jobs, PublishOptions{})
			if st := b.Stats(); st.Channels != 1 || st.Subscribers != 2 {
				t.Errorf("%+v", st)
			}
			p.Close()
			if st := b.Stats(); st.Channels != 0 || st.Subscribers != 1 || len(s.attached) != 0 {
				t.Errorf("%+v", st)
			}
		}
		s.Close()
	})
}

func TestAPatternTakesQueueMessagesOfManyChannelsInOrder(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		var sent []<-chan error
		for _, c := range []string{"a", "b", "a", "c"} {
			sent = append(sent, send(t.Context(), b, name("public/"+c), c))
			pending(t, "the sender", sent[len(sent)-1])
		}
		s, _ := b.SubscribeMatch(pattern("public/*"), allowAll, SubscribeOptions{Stay: true})
		for _, c := range []string{"a", "b", "a", "c"} {
			wantNext(t, s, "["+c+"]")
		}
		got := follows(t, s)
		for _, c := range sent {
			if err := <-c; err != nil {
				t.Error(err)
			}
		}
		if err := b.Send(t.Context(), name("public/new"), msg("d")); err != nil {
			t.Error(err)
		}
		s.Close()
		want(t, "the follower", got, "[d]", errLeft)
	})
}

func TestPatternsInLineAreServedInOrderOfComing(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, b *Broker) {
		var got [8]<-chan result
		for i := range got {
			s, _ := b.SubscribeMatch(pattern("public/*"), allowAll, SubscribeOptions{})
			got[i] = follows(t, s)
			pending(t, "the follower", got[i])
		}
		for i := range got {
			if err := b.Send(t.Context(), jobs, Message{}); err != nil {
				t.Error(err)
			}
			want(t, "the first in line", got[i], "[]", io.EOF)
		}
	})
}
