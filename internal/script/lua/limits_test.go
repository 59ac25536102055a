package lua

import (
	"strings"
	"testing"
)

// TestSteps: what runs for ever is ended, also where a script catches errors.
func TestSteps(t *testing.T) {
	for _, src := range []string{
		"while true do end",
		"repeat until false",
		"for i = 1, 1e15 do end",
		"while true do pcall(function() while true do end end) end",
		"local function f() return f() end f()",
		"return string.match(string.rep('a', 200), string.rep('a?', 200)..string.rep('a', 200)..'b')",
		"local t = {} for i = 1, 1000 do t[i] = i end while true do table.sort(t, function(a, b) return a > b end) end",
		"local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
		"while true do string.rep('x', 1000) end",
		"local s = setmetatable({}, {__index = function(t, k) return t[k] end}) return s.x or (function() while true do end end)()",
	} {
		s := NewState()
		s.MemoryLimit = 64 << 20
		asked := 0
		s.Hook = func() (int, *Error) {
			if asked++; asked < 10 {
				return 10000, nil
			}
			return 0, &Error{Value: String("enough")}
		}
		s.Begin(10000)
		p, err := Compile(src, "x")
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Run(s.Load(p))
		if err == nil || err.Error() != "enough" && !strings.Contains(err.Error(), "overflow") {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// TestMemory: what grows for ever is ended, and garbage is not counted.
func TestMemory(t *testing.T) {
	for src, fails := range map[string]bool{
		"local s = 'x' while true do s = s .. s end":                                          true,
		"local t = {} while true do t[#t + 1] = {} end":                                       true,
		"local t = {} local i = 0 while true do i = i + 1 t['k' .. i] = i end":                true,
		"return string.rep('x', 1e9)":                                                         true,
		"local t while true do t = {t} end":                                                   true,
		"local f while true do local g = f f = function() return g end end":                   true,
		"local t = {} for i = 1, 1e9 do t[i] = coroutine.create(function() end) end":          true,
		"local t = {} for i = 1, 100 do t[i] = string.rep('x', 1e6) end return #t":            true,
		"local t = {} while true do pcall(function() t[#t+1] = string.rep('x', 1e5) end) end": true,
		"for i = 1, 2000 do local s = string.rep('x', 1e5) end":                               false,
		"local t = {} for i = 1, 3e5 do t = {t[1], i} end":                                    false,
		"local s = string.rep('x', 1e6) local t = {} for i = 1, 1000 do t[i] = s end":         false,
		"local s = '' for i = 1, 3000 do s = s .. 'xxxxxxxxxx' end return #s":                 false,
	} {
		s := NewState()
		s.MemoryLimit = 16 << 20
		s.Begin(1 << 40)
		p, err := Compile(src, "x")
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Run(s.Load(p))
		if failed := err != nil; failed != fails {
			t.Errorf("%s: %v", src, err)
		}
		if failed := err != nil; failed && !err.Final {
			t.Errorf("%s: %v, which could be caught", src, err)
		}
	}
}

func TestReadonly(t *testing.T) {
	for _, src := range []string{
		"string.x = 1", "x = 1", "rawset(_G, 'x', 1)", "setmetatable(string, {})", "table.insert(frozen, 1)", "frozen[1] = 2",
		"table.sort(frozen)", "table.remove(frozen)", "getmetatable('').__index = 1", "setmetatable(frozen, nil)",
	} {
		s := NewState()
		frozen := NewTable(0)
		frozen.Append(Number(2))
		frozen.Append(Number(1))
		s.Globals.SetString("frozen", FromTable(frozen))
		for _, tab := range []*Table{frozen, s.Globals, s.strings, s.Globals.GetString("string").o.(*Table)} {
			tab.SetReadonly(true)
		}
		s.Begin(1 << 40)
		p, cerr := Compile(src, "x")
		if cerr != nil {
			t.Fatal(cerr)
		}
		if _, err := s.Run(s.Load(p)); err == nil || !strings.Contains(err.Error(), "Attempt to modify a readonly table") {
			t.Errorf("%s: %v", src, err)
		}
	}
}

// FuzzRun: whatever the source, compiling and running it ends, and never with a Go
// panic.
func FuzzRun(f *testing.F) {
	for _, src := range programs(f) {
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src string) {
		p, err := Compile(src, "fuzz")
		if err != nil {
			return
		}
		s := NewState()
		s.MemoryLimit = 8 << 20
		s.Hook = func() (int, *Error) { return 0, &Error{Value: String("enough")} }
		for range 2 { // the second run finds nothing of the first
			s.Begin(100000)
			_, _ = s.Run(s.Load(p))
			s.End()
		}
	})
}

func BenchmarkFib(b *testing.B) {
	s := NewState()
	p, err := Compile("local function fib(n) if n < 2 then return n end return fib(n-1) + fib(n-2) end return fib(20)", "b")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.Begin(1 << 40)
		if _, err := s.Run(s.Load(p)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoop(b *testing.B) {
	s := NewState()
	p, _ := Compile("local t = {} for i = 1, 10000 do t[i] = i * 2 end local s = 0 for i, v in ipairs(t) do s = s + v end return s", "b")
	for b.Loop() {
		s.Begin(1 << 40)
		if _, err := s.Run(s.Load(p)); err != nil {
			b.Fatal(err)
		}
	}
}
