// Package libs is the libraries that Redis gives its scripts beside Lua's own: cjson,
// cmsgpack, struct and bit. Decoders take bytes from anywhere: they charge what they
// build to the State, count their steps, and nest no deeper than their limits.
//
// Called by package script.
package libs

import "coterie/internal/script/lua"

// Libraries is what is open in one State, where a run may change settings.
type Libraries struct {
	json jsonConfig
	// Null is cjson.null.
	Null lua.Value
}

// Open puts the libraries among a State's globals.
func Open(s *lua.State) *Libraries {
	l := &Libraries{Null: s.NewProxy()}
	l.Reset()
	openJSON(s, l)
	openMsgpack(s)
	openStruct(s)
	openBit(s)
	return l
}

// Reset takes back what a run has set.
func (l *Libraries) Reset() { l.json = defaultJSON }
