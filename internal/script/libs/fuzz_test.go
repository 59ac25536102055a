package libs

import (
	"testing"

	"coterie/internal/script/lua"
)

// fuzzed runs a script over bytes from anywhere, with little memory and few steps.
func fuzzed(t *testing.T, src, data string) {
	s := lua.NewState()
	Open(s)
	s.Globals.SetString("data", lua.String(data))
	s.MemoryLimit = 4 << 20
	s.Hook = func() (int, *lua.Error) { return 0, &lua.Error{Value: lua.String("enough")} }
	p, err := lua.Compile(src, "fuzz")
	if err != nil {
		t.Fatal(err)
	}
	s.Begin(1_000_000)
	_, _ = s.Run(s.Load(p))
}

// What comes back from decoding can be encoded, and then is the same.
const jsonRound = `
local ok, v = pcall(cjson.decode, data)
if ok then
  local text = cjson.encode(v)
  if cjson.encode(cjson.decode(text)) ~= text then error('not the same: ' .. text) end
end`

func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e3,"x\u00e9\ud83d\ude00"],"b":null}`, `[[[[`, `"\`, `1e999`, `{"a":`, `nan`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) { fuzzed(t, jsonRound, data) })
}

func FuzzMsgpack(f *testing.F) {
	for _, s := range []string{"\x93\x01\xa1x\xc0", "\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff\x01", "\xc6\xff\xff\xff\xff", "\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00", "\x91\x91\x91"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, data string) {
		fuzzed(t, "local v = {cmsgpack.unpack(data)} cmsgpack.unpack(cmsgpack.pack(unpack(v))) cmsgpack.unpack_limit(data, 2, 1)", data)
	})
}

func FuzzStruct(f *testing.F) {
	f.Add("!8bHi>Lc0s", "abcdefghijklmnop\x00")
	f.Add("i33", "x")
	f.Add("c2147483647", "x")
	f.Fuzz(func(t *testing.T, format, data string) {
		s := lua.NewState()
		Open(s)
		s.Globals.SetString("format", lua.String(format))
		fuzzed(t, "struct.unpack(data, data)", data)
		s.Globals.SetString("data", lua.String(data))
		s.MemoryLimit = 4 << 20
		s.Hook = func() (int, *lua.Error) { return 0, &lua.Error{Value: lua.String("enough")} }
		for _, src := range []string{"struct.unpack(format, data)", "struct.pack(format, 1, data, 3)", "struct.size(format)"} {
			p, err := lua.Compile(src, "fuzz")
			if err != nil {
				t.Fatal(err)
			}
			s.Begin(1_000_000)
			_, _ = s.Run(s.Load(p))
		}
	})
}
