package number

import (
	"math"
	"strconv"
	"testing"
)

func TestParseInt(t *testing.T) {
	for _, s := range []string{"0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808"} {
		want, _ := strconv.ParseInt(s, 10, 64)
		if n, ok := ParseInt([]byte(s)); !ok || n != want {
			t.Errorf("ParseInt(%q) = %d, %v", s, n, ok)
		}
	}
	for _, s := range []string{"", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999999"} {
		if n, ok := ParseInt([]byte(s)); ok {
			t.Errorf("ParseInt(%q) = %d", s, n)
		}
	}
	if _, ok := Add(math.MaxInt64, 1); ok {
		t.Error("a sum that does not fit")
	}
	if n, ok := Add(math.MaxInt64, math.MinInt64); !ok || n != -1 {
		t.Error("a sum that fits")
	}
}

func TestFloat(t *testing.T) {
	for _, tc := range []struct{ a, b, sum string }{
		{"10.50", "0.1", "10.6"}, {"5.0e3", "2.0e2", "5200"}, {"3", "1.1", "4.1"}, {"0", "-0", "0"}, {"-0.0", "-0", "0"},
		{"0.1", "0.2", "0.3"}, {"1e18", "1", "1000000000000000001"}, {"1e20", "1", "100000000000000000000"}, {"0x10", "0x.8", "16.5"}, {".5", "5.", "5.5"},
		{"1e-18", "0", "0"}, {"3.0e-17", "0", "0.00000000000000003"}, {"1", "-1", "0"},
	} {
		a, okA := ParseFloat([]byte(tc.a))
		b, okB := ParseFloat([]byte(tc.b))
		if !okA || !okB {
			t.Errorf("%s or %s is not read", tc.a, tc.b)
			continue
		}
		sum, ok := a.Add(b)
		if got := string(sum.Append(nil)); !ok || got != tc.sum {
			t.Errorf("%s + %s = %s, want %s", tc.a, tc.b, got, tc.sum)
		}
	}
	for _, s := range []string{"", "x", "nan", "1e5000", "1e-5000", "1e999999999999", " 1", "1 ", "1e", ".", "0x", "1_0", "--1", "1.2.3", "infinit"} {
		if _, ok := ParseFloat([]byte(s)); ok {
			t.Errorf("ParseFloat(%q) accepted", s)
		}
	}
	inf, _ := ParseFloat([]byte("-Inf"))
	if _, ok := inf.Add(Float{}); ok || !inf.IsInf() {
		t.Error("an infinite sum is refused")
	}
}
