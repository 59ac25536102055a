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

func TestDouble(t *testing.T) {
	for s, want := range map[string]float64{
		"0": 0, "17": 17, "-5": -5, "1.5": 1.5, "+3": 3, "5.": 5, ".5": .5, "1e3": 1000, "0x10": 16, "0x.8p1": 1, "999999999999999": 999999999999999,
		"9007199254740993": 9007199254740992, "inf": math.Inf(1), "-Infinity": math.Inf(-1), "+INF": math.Inf(1), "0e99999": 0, "5e-324": 5e-324, "1.7976931348623157e308": math.MaxFloat64,
	} {
		if f, ok := ParseDouble([]byte(s)); !ok || f != want {
			t.Errorf("ParseDouble(%q) = %v, %v", s, f, ok)
		}
		if f, ok := ParseBound([]byte(s)); !ok || f != want {
			t.Errorf("ParseBound(%q) = %v, %v", s, f, ok)
		}
	}
	for _, s := range []string{"", "-", "+", ".", "x", "nan", "-nan", "1x", "1 ", " 1", "1_0", "0b1", "1e", "1e400", "-1e400", "1e-400", "0x", "infin", "--1", "1\x00"} {
		if f, ok := ParseDouble([]byte(s)); ok {
			t.Errorf("ParseDouble(%q) = %v", s, f)
		}
	}
	for s, want := range map[string]float64{"": 0, " 1": 1, "\t-2": -2, "1\x00x": 1, "1e400": math.Inf(1), "-1e400": math.Inf(-1), "1e-400": 0} {
		if f, ok := ParseBound([]byte(s)); !ok || f != want {
			t.Errorf("ParseBound(%q) = %v, %v", s, f, ok)
		}
	}
	for _, s := range []string{" ", "1 ", "nan", "x", "(1", "1e", "-"} {
		if f, ok := ParseBound([]byte(s)); ok {
			t.Errorf("ParseBound(%q) = %v", s, f)
		}
	}
	if f, _ := ParseDouble([]byte("-0")); !math.Signbit(f) {
		t.Error("-0 loses its sign")
	}
	if n := testing.AllocsPerRun(10, func() { ParseDouble([]byte("12.5")) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
