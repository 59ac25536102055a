package redisfront

import (
	"slices"
	"strings"
)

// cachingMode is what CLIENT CACHING said about the next command, or the
// transaction.
type cachingMode uint8

const (
	cachingUnset cachingMode = iota
	cachingYes
	cachingNo
)

const errTrackingSyntax = errSyntax

// clientTracking is CLIENT TRACKING.
func clientTracking(s *session, args [][]byte) {
	var x tracker
	var prefixes []string
	for i := 3; i < len(args); i++ {
		more := i+1 < len(args)
		switch {
		case is(args[i], "redirect") && more:
			i++
			id, ok := parseInt(args[i])
			if !ok {
				s.rw.Error(errNotInteger)
				return
			}
			if x.redirect != noSession {
				s.rw.Error("ERR A client can only redirect to a single other client")
				return
			}
			if x.redirect = uint64(id); !s.f.connected(x.redirect) {
				s.rw.Error("ERR The client ID you want redirect to does not exist")
				return
			}
		case is(args[i], "bcast"):
			x.bcast = true
		case is(args[i], "optin"):
			x.optin = true
		case is(args[i], "optout"):
			x.optout = true
		case is(args[i], "noloop"):
			x.noloop = true
		case is(args[i], "prefix") && more:
			i++
			prefixes = append(prefixes, string(args[i]))
		default:
			s.rw.Error(errTrackingSyntax)
			return
		}
	}
	switch {
	case is(args[2], "off"):
		s.setTracking(nil)
		s.rw.Simple("OK")
	case !is(args[2], "on"):
		s.rw.Error(errTrackingSyntax)
	default:
		if why := s.tracks(&x, prefixes); why != "" {
			s.rw.Error(why)
			return
		}
		s.setTracking(&x)
		s.rw.Simple("OK")
	}
}

// tracks completes how a session is going to track, or says why it cannot.
func (s *session) tracks(x *tracker, prefixes []string) string {
	before := s.tracker.Load()
	switch {
	case !x.bcast && len(prefixes) > 0:
		return "ERR PREFIX option requires BCAST mode to be enabled"
	case before != nil && before.bcast != x.bcast:
		return "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a different mode."
	case x.bcast && (x.optin || x.optout):
		return "ERR OPTIN and OPTOUT are not compatible with BCAST"
	case x.optin && x.optout:
		return "ERR You can't specify both OPTIN mode and OPTOUT mode"
	case before != nil && (x.optin && before.optout || x.optout && before.optin):
		return "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a different mode."
	}
	if !x.bcast {
		return ""
	}
	if before != nil {
		x.prefixes = slices.Clone(before.prefixes)
	}
	for i, p := range prefixes {
		for _, q := range x.prefixes {
			if q != p && (strings.HasPrefix(p, q) || strings.HasPrefix(q, p)) {
				return "ERR Prefix '" + p + "' overlaps with an existing prefix '" + q + "'. Prefixes for a single client must not overlap."
			}
		}
		for _, q := range prefixes[i+1:] {
			if strings.HasPrefix(p, q) || strings.HasPrefix(q, p) {
				return "ERR Prefix '" + p + "' overlaps with another provided prefix '" + q + "'. Prefixes for a single client must not overlap."
			}
		}
	}
	for _, p := range prefixes {
		if !slices.Contains(x.prefixes, p) {
			x.prefixes = append(x.prefixes, p)
		}
	}
	if len(x.prefixes) == 0 {
		x.prefixes = []string{""}
	}
	if len(x.prefixes) > trackedPrefixes {
		return "ERR too many prefixes"
	}
	return ""
}

// connected says whether there is a connection with an id.
func (f *Front) connected(id uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.sessions[id] != nil
}

// clientCaching is CLIENT CACHING.
func clientCaching(s *session, args [][]byte) {
	x := s.tracker.Load()
	yes := is(args[2], "yes")
	switch {
	case x == nil || !x.optin && !x.optout:
		s.rw.Error("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled")
	case !yes && !is(args[2], "no"):
		s.rw.Error(errSyntax)
	case yes && !x.optin:
		s.rw.Error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.")
	case !yes && !x.optout:
		s.rw.Error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.")
	default:
		s.caching = cachingNo
		if yes {
			s.caching = cachingYes
		}
		s.rw.Simple("OK")
	}
}

func clientGetredir(s *session, _ [][]byte) { s.rw.Int(s.redirection2()) }

// redirection2 is whom the session's messages are redirected to: 0 nobody, -1
// if it does not track.
func (s *session) redirection2() int64 {
	if x := s.tracker.Load(); x != nil {
		return int64(x.redirect)
	}
	return -1
}

func clientTrackinginfo(s *session, _ [][]byte) {
	x := s.tracker.Load()
	flags := []string{"off"}
	var prefixes []string
	if x != nil {
		flags, prefixes = []string{"on"}, x.prefixes
		add := func(is bool, name string) {
			if is {
				flags = append(flags, name)
			}
		}
		add(x.bcast, "bcast")
		add(x.optin, "optin")
		add(x.optin && s.caching == cachingYes, "caching-yes")
		add(x.optout, "optout")
		add(x.optout && s.caching == cachingNo, "caching-no")
		add(x.noloop, "noloop")
		s.mu.Lock()
		add(s.mu.redirectBroken, "broken_redirect")
		s.mu.Unlock()
	}
	s.rw.Map(3)
	s.rw.BulkString("flags")
	s.rw.Set(len(flags))
	for _, f := range flags {
		s.rw.BulkString(f)
	}
	s.rw.BulkString("redirect")
	s.rw.Int(s.redirection2())
	s.rw.BulkString("prefixes")
	bulks(&s.rw, prefixes)
}
