package script

import (
	"container/list"
	"context"
	"sort"
	"strings"
	"sync"
)

// CacheBytes bounds the scripts that a node remembers by itself; the one not used for
// longest goes first.
const CacheBytes = 32 << 20

// Store is what a node has of scripts. It may be used from many goroutines.
type Store struct {
	mu struct {
		sync.Mutex
		cache map[string]*list.Element // of *Script, by SHA
		order list.List                // the last used in front
		bytes int

		shared    map[string]string   // the cluster's scripts: bodies by SHA
		libraries map[string]*Library // by name
		functions map[string]*Library // by a function's name in lower case
		version   uint64
		flushed   uint64
		changed   chan struct{} // closed with the next version
	}
}

// NewStore returns an empty Store.
func NewStore() *Store {
	s := &Store{}
	s.mu.cache = map[string]*list.Element{}
	s.mu.changed = make(chan struct{})
	return s
}

// Script finds a script by its digest, in any case of letters.
func (s *Store) Script(sha string) *Script {
	sha = strings.ToLower(sha)
	s.mu.Lock()
	if e := s.mu.cache[sha]; e != nil {
		s.mu.order.MoveToFront(e)
		s.mu.Unlock()
		return e.Value.(*Script)
	}
	body, ok := s.mu.shared[sha]
	s.mu.Unlock()
	if !ok {
		return nil
	}
	sc, _ := s.Compile(body)
	return sc
}

// Compile finds a script by its body, or compiles and remembers it.
func (s *Store) Compile(body string) (*Script, string) {
	sha := SHA1(body)
	s.mu.Lock()
	if e := s.mu.cache[sha]; e != nil {
		s.mu.order.MoveToFront(e)
		s.mu.Unlock()
		return e.Value.(*Script), ""
	}
	s.mu.Unlock()
	sc, why := Compile(body)
	if why != "" {
		return nil, why
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.cache[sha] == nil {
		s.mu.cache[sha] = s.mu.order.PushFront(sc)
		s.mu.bytes += sc.Bytes()
		for s.mu.bytes > CacheBytes && s.mu.order.Len() > 1 {
			last := s.mu.order.Back()
			old := s.mu.order.Remove(last).(*Script)
			delete(s.mu.cache, old.SHA)
			s.mu.bytes -= old.Bytes()
		}
	}
	return sc, ""
}

// Cached is how many scripts are known, and their bytes.
func (s *Store) Cached() (scripts, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.mu.cache)
	for sha := range s.mu.shared {
		if s.mu.cache[sha] == nil {
			n++
		}
	}
	return n, s.mu.bytes
}

// Update takes in what the cluster has, as of a version: scripts' bodies and libraries'
// code. flushed counts how often scripts were flushed.
func (s *Store) Update(version, flushed uint64, bodies, codes []string) {
	shared := make(map[string]string, len(bodies))
	for _, b := range bodies {
		shared[SHA1(b)] = b
	}
	old := map[string]*Library{}
	for _, l := range s.Libraries() {
		old[l.SHA] = l
	}
	libraries, functions := map[string]*Library{}, map[string]*Library{}
	for _, code := range codes {
		l := old[SHA1(code)]
		if l == nil {
			var why string
			if l, why = ParseLibrary(code); why != "" {
				continue // loaded by a node that knows more than this one
			}
		}
		libraries[l.Name] = l
		for i := range l.Functions {
			functions[strings.ToLower(l.Functions[i].Name)] = l
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if version < s.mu.version {
		return
	}
	if flushed != s.mu.flushed {
		s.mu.flushed = flushed
		s.mu.cache = map[string]*list.Element{}
		s.mu.order.Init()
		s.mu.bytes = 0
	}
	s.mu.shared, s.mu.libraries, s.mu.functions, s.mu.version = shared, libraries, functions, version
	close(s.mu.changed)
	s.mu.changed = make(chan struct{})
}

// Version is the version of what the cluster has.
func (s *Store) Version() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.version
}

// Wait waits until the version is at least v.
func (s *Store) Wait(ctx context.Context, v uint64) error {
	for {
		s.mu.Lock()
		have, changed := s.mu.version, s.mu.changed
		s.mu.Unlock()
		if have >= v {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Function finds the library of a function, and its properties.
func (s *Store) Function(name string) (*Library, *FunctionInfo) {
	s.mu.Lock()
	l := s.mu.functions[strings.ToLower(name)]
	s.mu.Unlock()
	if l == nil {
		return nil, nil
	}
	return l, l.Function(name)
}

// Libraries are all libraries, in the order of their names.
func (s *Store) Libraries() []*Library {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*Library, 0, len(s.mu.libraries))
	for _, l := range s.mu.libraries {
		all = append(all, l)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}
