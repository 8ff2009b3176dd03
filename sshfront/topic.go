package sshfront

import (
	"crypto/rand"
	"strings"

	"patchwork/broker"
)

// fullName returns the full form of a topic as the caller wrote it: with -p it is
// public; "A/B" is A's topic B when A is an owner or has let the caller in there;
// everything else is the caller's own.
func (s *session) fullName(topic string, isPublic bool) string {
	if isPublic {
		return public + "/" + topic
	}
	owner, rest, _ := strings.Cut(topic, "/")
	if rest != "" && (owner == s.caller.Namespace() || s.caller.Knows(owner) || s.invited(topic)) {
		return topic
	}
	return s.caller.Namespace() + "/" + topic
}

// channel parses the topic and checks that the caller may do all of actions there.
// Its errors end the session as they are.
func (s *session) channel(topic string, isPublic bool, actions ...Action) (broker.Name, error) {
	name, err := broker.ParseName(s.fullName(topic, isPublic))
	if err != nil {
		return broker.Name{}, err
	}
	for _, a := range actions {
		if s.caller.May(s.ctx, a, name) {
			continue
		}
		if s.guest = s.invited(name.String()); !s.guest {
			return broker.Name{}, denied(name.String())
		}
		s.as.Guest = true // and is shown out when the list goes
		s.ctx = broker.As(s.ctx, s.as)
	}
	return name, nil
}

// invited tells whether full is a user's topic with an access list that names the
// caller. The broker asks the list once more when the caller comes in.
func (s *session) invited(full string) bool {
	if _, closed := s.caller.(publicCaller); closed {
		return false // the operator's word is above an owner's
	}
	owner, _, _ := strings.Cut(full, "/")
	name, err := broker.ParseName(full)
	if err != nil || broker.CheckUser(owner) != nil {
		return false
	}
	guarded, admitted := s.srv.cfg.Broker.Admits(name, s.as)
	return guarded && admitted
}

func denied(name string) error {
	return refused("access denied: %s is not open to your key; ask its owner to let you in", name)
}

// randomTopic returns a topic that nobody guesses: 80 bits.
func randomTopic() string { return strings.ToLower(rand.Text())[:16] }

// topicOrRandom returns the topic that was asked for, or a new one, of which the
// client is told whatever it thinks of talk: otherwise nobody would know it. with
// is the command that joins it.
func (s *session) topicOrRandom(o *options, with string) string {
	if o.topic != "" {
		return o.topic
	}
	topic := randomTopic()
	s.say("the topic is %s; join it with: %s", topic, s.example(with, s.joinedAs(topic, o), o.public))
	return topic
}

// joinedAs is the topic as those who are to join it write it: others than the
// owner need its name in front.
func (s *session) joinedAs(topic string, o *options) string {
	if o.public || o.access == nil {
		return topic
	}
	return s.fullName(topic, false)
}
