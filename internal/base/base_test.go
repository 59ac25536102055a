package base

import "testing"

func TestKeySlot(t *testing.T) {
	for _, tc := range []struct {
		key  string
		slot Slot
	}{
		{"123456789", 0x31C3 % NumSlots}, // the check value of CRC-16/XMODEM
		{"", 0},
		{"foo", 12182},
		{"bar", 5061},
		{"{user1000}.following", 3443},
		{"{user1000}.followers", 3443},
		{"foo{}{bar}", 8363},    // an empty tag counts as none
		{"foo{{bar}}zap", 4015}, // the tag is "{bar"
		{"foo{bar}{zap}", 5061},
	} {
		if got := KeySlot([]byte(tc.key)); got != tc.slot {
			t.Errorf("KeySlot(%q) = %d, want %d", tc.key, got, tc.slot)
		}
	}
}

func TestSpan(t *testing.T) {
	s := Span{Lo: 10, Hi: 20}
	if !s.Contains(10) || !s.Contains(19) || s.Contains(20) || s.Contains(9) {
		t.Error("a span holds Lo and does not hold Hi")
	}
	if s.Len() != 10 || s.String() != "10-19" {
		t.Errorf("len %d, string %q", s.Len(), s)
	}
	if e := (Span{}); !e.Empty() || e.Len() != 0 || e.String() != "-" {
		t.Error("the zero span is empty")
	}
}
