package workload

import "strings"

// audience is the fake server's subscribers.
type audience struct {
	subs []Command // SUBSCRIBE and PSUBSCRIBE
	late []Command // messages that are held back
	say  func(Command)
}

// publish sends a message to all subscribers.
func (s *server) publish(channel, text string) (n int) {
	a := &s.audience
	if a.say == nil {
		return 0
	}
	for _, c := range a.subs {
		if c[2] != channel && (c[0] != "PSUBSCRIBE" || !strings.HasPrefix(channel, strings.TrimSuffix(c[2], "*"))) {
			continue
		}
		n++
		m := Command{"MESSAGE", c[1], channel, text}
		switch {
		case s.flaw == loses && s.odd():
			continue
		case s.flaw == doubles && s.odd():
			a.say(m)
		case s.flaw == disorders && len(a.late) == 0:
			a.late = append(a.late, m)
			continue
		}
		a.say(m)
	}
	if s.odd() {
		for _, m := range a.late {
			a.say(m)
		}
		a.late = nil
	}
	return n
}

// message runs a command about messages; ok is false if it is none.
func (s *server) message(c Command) (reply string, ok bool) {
	switch c[0] {
	case "SUBSCRIBE", "PSUBSCRIBE":
		s.audience.subs = append(s.audience.subs, c)
		return okReply, true
	case "PUBLISH":
		if s.flaw == miscounts {
			return intReply(s.publish(c[1], c[2]) + 1), true
		}
		return intReply(s.publish(c[1], c[2])), true
	case "EVAL":
		if c[1] != publishBody {
			return "", false
		}
		channel, text, _ := published(c)
		n := s.publish(channel, text)
		if s.flaw != halves {
			s.apply(Command{"SET", publishedKey(c), text})
		}
		return intReply(n), true
	}
	return "", false
}
