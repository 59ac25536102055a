package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Validate judges the values: each within its range, and all of them
// together. It returns the first thing that is wrong, as an *Error.
func (s *Settings) Validate() error {
	for _, check := range []func() error{
		s.checkRanges, s.checkListeners, s.checkClashes, s.checkAdvertised, s.checkJoin, s.checkTogether,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// named shows an option, its value and its origin in an error's cause.
func (s *Settings) named(name string) string {
	o, _ := find(name)
	from := s.origins[name]
	if from.Layer == FromDefault {
		return fmt.Sprintf("%s %s", name, o.Text(&s.Node))
	}
	return fmt.Sprintf("%s %s (%s)", name, o.Text(&s.Node), from)
}

func (s *Settings) checkRanges() error {
	if s.Node.DataDir == "" {
		return &Error{Cause: "data-dir is empty", Next: "name a directory for this node's data"}
	}
	for _, o := range Options() {
		v, ok := o.number(&s.Node)
		if ok && (v < o.Min || v > o.Max) {
			return &Error{Cause: s.named(o.Name) + " is out of range", Next: "choose " + o.Range()}
		}
	}
	return nil
}

type listener struct {
	option, advertise string
	addr, advertised  string
	canBeOff          bool
}

func (s *Settings) listeners() []listener {
	n := &s.Node
	return []listener{
		{"listen", "advertise-redis", n.Listen, n.AdvertiseRedis, false},
		{"cluster-listen", "advertise-cluster", n.ClusterListen, n.AdvertiseCluster, true},
		{"peer-listen", "advertise-peer", n.PeerListen, n.AdvertisePeer, false},
		{"http-listen", "advertise-http", n.HTTPListen, n.AdvertiseHTTP, true},
	}
}

func (s *Settings) checkListeners() error {
	for _, l := range s.listeners() {
		if l.addr == Off {
			if !l.canBeOff {
				return &Error{Cause: l.option + " cannot be off", Next: "give it a HOST:PORT"}
			}
			continue
		}
		host, _, err := splitAddress(l.addr)
		if err != nil {
			return &Error{Cause: fmt.Sprintf("%s is no address: %v", s.named(l.option), err), Next: "write HOST:PORT, such as 127.0.0.1:6379"}
		}
		if !isLoopback(host) && !s.Node.Insecure {
			return &Error{
				Cause: s.named(l.option) + " can be reached from other machines, and there is no authentication yet",
				Next:  "listen on 127.0.0.1, or pass --insecure if everybody on that network may read and write everything",
			}
		}
	}
	return nil
}

func (s *Settings) checkClashes() error {
	all := s.listeners()
	for i, a := range all {
		for _, b := range all[:i] {
			if a.addr == Off || b.addr == Off {
				continue
			}
			hostA, portA, _ := splitAddress(a.addr)
			hostB, portB, _ := splitAddress(b.addr)
			if portA == portB && portA != 0 && (sameHost(hostA, hostB) || isWildcard(hostA) || isWildcard(hostB)) {
				return &Error{
					Cause: fmt.Sprintf("%s and %s use the same port", s.named(b.option), s.named(a.option)),
					Next:  "give each listener a port of its own",
				}
			}
		}
	}
	return nil
}

func (s *Settings) checkAdvertised() error {
	for _, l := range s.listeners() {
		if l.advertised == "" {
			continue
		}
		host, port, err := splitAddress(l.advertised)
		if err == nil && isWildcard(host) {
			err = fmt.Errorf("nobody can dial %q", host)
		} else if err == nil && port == 0 {
			err = fmt.Errorf("nobody can dial port 0")
		}
		if err != nil {
			return &Error{Cause: fmt.Sprintf("%s is no address: %v", s.named(l.advertise), err), Next: "write the HOST:PORT that others reach this node at"}
		}
	}
	if host, _, _ := splitAddress(s.Node.PeerListen); isWildcard(host) && s.Node.AdvertisePeer == "" {
		return &Error{
			Cause: s.named("peer-listen") + " listens on every interface, so other nodes cannot be told where to reach this one",
			Next:  "add --advertise-peer HOST:PORT with an address that the other nodes can dial",
		}
	}
	return nil
}

func (s *Settings) checkJoin() error {
	own := s.Node.Advertised().Peer
	ownHost, ownPort, _ := splitAddress(own)
	for _, addr := range s.Node.Join {
		host, port, err := splitAddress(addr)
		if err == nil && (port == 0 || host == "") {
			err = fmt.Errorf("it needs a host and a port")
		}
		if err != nil {
			return &Error{Cause: fmt.Sprintf("%s: %q is no address: %v", s.named("join"), addr, err), Next: "write the peer address of a running node, such as 127.0.0.1:7379"}
		}
		if port == ownPort && sameHost(host, ownHost) {
			return &Error{
				Cause: fmt.Sprintf("%s names this node's own peer address", s.named("join")),
				Next:  "name another node, or leave out --join to found a cluster",
			}
		}
		if !isLoopback(host) && isLoopback(ownHost) {
			return &Error{
				Cause: fmt.Sprintf("%s is on another machine, but this node's peer address %s can only be reached from this one", addr, own),
				Next:  "set --peer-listen (and --insecure), or --advertise-peer, to an address that the other nodes can dial",
			}
		}
	}
	return nil
}

func (s *Settings) checkTogether() error {
	n := &s.Node
	switch {
	case n.Replicas%2 == 0:
		return &Error{Cause: s.named("replicas") + " is even: one more copy than an odd number, and no more failures survived", Next: "choose 1, 3, 5 or 7"}
	case n.ElectionTimeout < 5*n.TickInterval:
		return &Error{
			Cause: fmt.Sprintf("%s is less than 5 times %s", s.named("election-timeout"), s.named("tick-interval")),
			Next:  fmt.Sprintf("set election-timeout to at least %s", shortDuration(5*n.TickInterval)),
		}
	case n.MaxKeySize > n.MaxValueSize:
		return &Error{Cause: fmt.Sprintf("%s is more than %s", s.named("max-key-size"), s.named("max-value-size")), Next: "lower the first or raise the second"}
	case n.MaxOutputBuffer < n.MaxValueSize:
		return &Error{
			Cause: fmt.Sprintf("%s is less than %s, so that value could never be read", s.named("max-output-buffer"), s.named("max-value-size")),
			Next:  "raise the first or lower the second",
		}
	case n.MaxRequestMemory < n.MaxValueSize:
		return &Error{
			Cause: fmt.Sprintf("%s is less than %s, so that value could never be written", s.named("max-request-memory"), s.named("max-value-size")),
			Next:  "raise the first or lower the second",
		}
	}
	return nil
}

// splitAddress takes HOST:PORT apart. An empty host is allowed (it means all
// interfaces); the port is a number.
func splitAddress(addr string) (host string, port int, err error) {
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		// The address is already in the message.
		if ae := (*net.AddrError)(nil); errors.As(err, &ae) {
			return "", 0, fmt.Errorf("%s", ae.Err)
		}
		return "", 0, err
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%q is no port number", text)
	}
	if strings.ContainsAny(host, " /\t") {
		return "", 0, fmt.Errorf("%q is no host name", host)
	}
	return host, int(n), nil
}

// isLoopback says whether only this machine can reach the host. A name other
// than localhost is not looked up: it counts as reachable.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func isWildcard(host string) bool {
	if host == "" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsUnspecified()
}

func sameHost(a, b string) bool {
	canonical := func(h string) string {
		if strings.EqualFold(h, "localhost") {
			return "127.0.0.1"
		}
		return strings.ToLower(h)
	}
	return canonical(a) == canonical(b)
}
