package script

import (
	"strings"
	"testing"

	"coterie/internal/rdb"
)

// dumped is what redis-server 7.0 wrote for a library; its text is compressed.
const (
	dumpedCode = "#!lua name=lib\nredis.register_function(\"f\", function() return redis.call(\"incr\") end)"
	dumped     = "\xf5\xc3@P@U\x1f#!lua name=lib\nredis.register_fu\x0bnction(\"f\", \xe0\x00\r\a) return \x06@.\x10call(\"incr\") end)\n\x00\xa97Tae-\xc7h"
)

func TestDump(t *testing.T) {
	codes, why := ParseDump([]byte(dumped))
	if why != "" || len(codes) != 1 || codes[0] != dumpedCode {
		t.Fatalf("%q, %s", codes, why)
	}
	var list []*Library
	for _, n := range []int{0, 100, 20000} {
		list = append(list, &Library{Name: "x", Code: dumpedCode + strings.Repeat("-", n)})
	}
	b := Dump(list)
	codes, why = ParseDump(b)
	if why != "" || len(codes) != len(list) {
		t.Fatalf("%d, %s", len(codes), why)
	}
	for i, l := range list {
		if codes[i] != l.Code {
			t.Errorf("library %d is another one", i)
		}
	}
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 1
		if _, why := ParseDump(bad); why == "" {
			t.Fatalf("byte %d was changed, and nobody saw it", i)
		}
		if i > 300 {
			break
		}
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add([]byte(dumped[:len(dumped)-10]))
	f.Add([]byte("\xf5\xc3\x05\x40\xff\x00a\xe0\xff\x00"))
	f.Fuzz(func(t *testing.T, body []byte) {
		l := &Library{}
		b := append(body, Dump(nil)[:2]...)
		sum := rdb.Checksum(b)
		for i := range 8 {
			b = append(b, byte(sum>>(8*i)))
		}
		codes, _ := ParseDump(b)
		for _, c := range codes {
			l.Code = c
			if back, why := ParseDump(Dump([]*Library{l})); why != "" || back[0] != c {
				t.Fatalf("%q: %s", c, why)
			}
		}
	})
}
