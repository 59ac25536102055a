package hash

import (
	"encoding/hex"
	"strings"
	"testing"
)

// TestInlineFormat pins the stored bytes.
func TestInlineFormat(t *testing.T) {
	body := emptyInline(nil)
	for _, kv := range [][2]string{{"f", "v"}, {"", ""}, {"long", strings.Repeat("x", 200)}, {"f", "other"}, {"long", "x"}} {
		var ok bool
		if body, _, ok = setInline(body, []byte(kv[0]), []byte(kv[1]), 0); !ok {
			t.Fatalf("%q does not fit", kv)
		}
	}
	if got, want := hex.EncodeToString(body), "0003"+"0166"+"056f74686572"+"0000"+"046c6f6e67"+"0178"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	body, _ = deleteInline(body, []byte(""))
	body, _ = deleteInline(body, []byte("f"))
	if got, want := hex.EncodeToString(body), "0001"+"046c6f6e67"+"0178"; got != want {
		t.Errorf("stored %s, want %s", got, want)
	}
	if _, _, ok := setInline(body, []byte("f"), make([]byte, maxInlineItem+1), 0); ok {
		t.Error("too large a value fits")
	}
}
