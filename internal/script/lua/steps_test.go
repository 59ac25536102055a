package lua

import (
	"testing"
	"time"
)

// costly are loops whose single steps are as large as 64 MiB of memory let them be.
var costly = []struct{ name, src string }{
	{"balance", "local s = string.rep('(', 1e5) return string.find(s, '%b()')"},
	{"set", "local s, set = string.rep('a', 1e5), '[' .. string.rep('b', 1e6) .. 'a]*c' return string.find(s, set)"},
	{"frontier", "local s, set = string.rep('a', 1e5), '%f[' .. string.rep('b', 1e6) .. ']' return string.find(s, set)"},
	{"back reference", "local s = string.rep('a', 1e6) return string.find(s, '(a*)%1%1%1b')"},
	{"back references", "local s = string.rep('a', 2e5) return string.find(s, '^(a*)' .. string.rep('.-%1', 9) .. 'b')"},
	{"class", "local set = '[' .. string.rep('b', 1e6) .. ']' while true do string.find('a', set .. '?') end"},
	{"equal", "local a, b = string.rep('x', 8e6) .. 'a', string.rep('x', 8e6) .. 'b' while true do local c = a == b end"},
	{"less", "local a, b = string.rep('x', 8e6) .. 'a', string.rep('x', 8e6) .. 'b' while true do local c = a < b end"},
	{"raw equal", "local a, b = string.rep('x', 8e6) .. 'a', string.rep('x', 8e6) .. 'b' while true do rawequal(a, b) end"},
	{"index", "local t, k = {}, string.rep('x', 3e7) for i = 1, 20 do t['k' .. i] = i end while true do local v = t[k] end"},
	{"raw index", "local t, k = {}, string.rep('x', 3e7) for i = 1, 20 do t['k' .. i] = i end while true do rawget(t, k) end"},
	{"store", "local t, k = {}, string.rep('x', 3e7) for i = 1, 20 do t['k' .. i] = i end while true do t[k] = i end"},
	{"number", "local s = string.rep(' ', 3e7) while true do tonumber(s) end"},
	{"arithmetic", "local s = string.rep(' ', 3e7) .. '1' while true do local x = s + 1 end"},
	{"digits", "local s = string.rep('1', 3e7) while true do tonumber(s) end"},
	{"base", "local s = string.rep(' ', 1e7) while true do tonumber(s, 16) end"},
	{"maxn", "local t = {} for i = 1, 2e5 do t['k' .. i] = i end while true do table.maxn(t) end"},
	{"next", "local t = {} for i = 1, 2e5 do t['k' .. i] = i end for i = 1, 2e5 do t['k' .. i] = nil end while true do next(t) end"},
	{"next of a list", "local t = {} for i = 1, 1e6 do t[i] = i end for i = 1, 1e6 - 1 do t[i] = nil end while true do next(t) end"},
	{"byte", "local s = string.rep('x', 7000) while true do string.byte(s, 1, -1) end"},
	{"unpack", "local t = {} for i = 1, 7000 do t[i] = i end while true do unpack(t) end"},
	{"select", "local t = {} for i = 1, 7000 do t[i] = i end local function f(...) while true do select(2, ...) end end f(unpack(t))"},
	{"varargs", "local t = {} for i = 1, 7000 do t[i] = i end local function f(...) while true do local x = {...} end end f(unpack(t))"},
	{"call", "local t = {} for i = 1, 7000 do t[i] = i end local function g() end local function f(...) while true do g(...) end end f(unpack(t))"},
	{"template", "local s, r = 'aaaa', string.rep('x', 7e6) while true do string.gsub(s, 'a', r) end"},
	{"templates", "local s, r = 'aaaa', string.rep('%', 1e7) while true do string.gsub(s, 'a', r) end"},
	{"gsub of a long string", "local s = string.rep('x', 1e7) while true do string.gsub(s, '^b', '') end"},
	{"format", "local f = string.rep('x', 1e7) while true do string.format(f) end"},
	{"quote", "local s = string.rep('x', 1e7) while true do string.format('%q', s) end"},
	{"find", "local s = string.rep('x', 3e7) while true do string.find(s, 'y', 1, true) end"},
	{"find itself", "local s, p = string.rep('a', 3e6), string.rep('a', 1e6) .. 'b' while true do string.find(s, p, 1, true) end"},
	{"special", "local p = string.rep('x', 3e7) while true do string.find('', p) end"},
	{"char", "local t = {} for i = 1, 7000 do t[i] = 65 end while true do string.char(unpack(t)) end"},
	{"concat", "local a, b = string.rep('x', 1e7), 'y' while true do local c = a .. b end"},
	{"table concat", "local t = {string.rep('x', 1e7)} while true do table.concat(t) end"},
	{"separators", "local t, s = {1, 2, 3, 4}, string.rep('x', 5e6) while true do table.concat(t, s) end"},
	{"tostring", "local s = string.rep('x', 2e7) while true do tostring(s) end"},
	{"measure", "local t = {} for i = 1, 3e5 do t[i] = {} end while true do local s = string.rep('x', 1e6) end"},
	{"measure by pieces", "local t = {} for i = 1, 5e5 do t[i] = {} end while true do local s = {} end"},
	{"coroutines", "while true do coroutine.create(function() end) end"},
	{"errors", "local s = string.rep('x', 1e7) while true do pcall(error, s) end"},
	{"errors with a place", "local s = string.rep('x', 1e7) while true do pcall(function() error(s) end) end"},
	{"deep errors", "local function f(n) if n > 0 then return 1 + f(n - 1) end error('x') end while true do pcall(f, 1000) end"},
	{"load", "local s = string.rep('x = 1 ', 1000) while true do loadstring(s) end"},
	{"name", "local s = string.rep('x', 1e7) while true do loadstring('', s) end"},
	{"method", "local s = string.rep('x', 1e7) while true do local x = s[s] end"},
	{"option", "local s = string.rep('x', 1e7) while true do pcall(collectgarbage, s) end"},
	{"insert", "local t = {} for i = 1, 1e6 do t[i] = i end while true do table.insert(t, 1, 1) table.remove(t, 1) end"},
	{"sort", "local t = {} for i = 1, 1e5 do t[i] = string.rep('x', 500) .. i end while true do table.sort(t) end"},
	{"sort long", "local s, t = string.rep('x', 1e6), {} for i = 1, 50 do t[i] = s .. i end while true do table.sort(t) end"},
}

// mostTime is what they may take on a machine that does other things too.
const mostTime = 3 * time.Second

// TestStepsAreTime: a million steps, after which a leader looks after others, take some
// tens of milliseconds, whatever a script does with them.
func TestStepsAreTime(t *testing.T) {
	for _, x := range costly {
		s := NewState()
		s.MemoryLimit = 64 << 20
		s.Hook = func() (int, *Error) { return 0, &Error{Value: String("enough")} }
		s.Begin(1_000_000)
		p, err := Compile(x.src, "x")
		if err != nil {
			t.Fatal(x.name, err)
		}
		began := time.Now()
		_, err = s.Run(s.Load(p))
		took := time.Since(began)
		if t.Logf("%-22s %8v %v", x.name, took.Round(time.Millisecond), err); err == nil {
			t.Errorf("%s ended by itself", x.name)
		}
		if took > mostTime {
			t.Errorf("%s took %v", x.name, took)
		}
	}
}
