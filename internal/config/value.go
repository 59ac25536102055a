package config

import (
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// set reads text into the option's field of n. Its error says what the text
// is not, without the option's name.
func (o Option) set(n *Node, text string) error {
	text = strings.TrimSpace(text)
	if o.Kind == Choice && !slices.Contains(o.Choices, text) {
		return fmt.Errorf("not one of %s", strings.Join(o.Choices, ", "))
	}
	switch p := o.field(n).(type) {
	case *string:
		*p = text
	case *bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("neither true nor false")
		}
		*p = v
	case *int:
		v, err := strconv.Atoi(text)
		if err != nil {
			return fmt.Errorf("not a whole number")
		}
		*p = v
	case *Size:
		v, err := ParseSize(text)
		if err != nil {
			return err
		}
		*p = v
	case *time.Duration:
		v, err := time.ParseDuration(text)
		if err != nil {
			return fmt.Errorf("not a duration; write a number with a unit, such as 500ms, 5s or 2m")
		}
		*p = v
	case *level:
		return (*slog.Level)(p).UnmarshalText([]byte(text))
	case *[]string:
		*p = nil
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				*p = append(*p, item)
			}
		}
	default:
		panic(fmt.Sprintf("config: option %s has a field of type %T", o.Name, p))
	}
	return nil
}

// Text is the option's value in n, written so that it can be read back.
func (o Option) Text(n *Node) string {
	switch p := o.field(n).(type) {
	case *string:
		return *p
	case *[]string:
		return strings.Join(*p, ",")
	case *level:
		return strings.ToLower(slog.Level(*p).String())
	case *time.Duration:
		return shortDuration(*p)
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *Size:
		return p.String()
	default:
		panic(fmt.Sprintf("config: option %s has a field of type %T", o.Name, p))
	}
}

// number is the value of a Count, Bytes or Duration.
func (o Option) number(n *Node) (int64, bool) {
	switch p := o.field(n).(type) {
	case *int:
		return int64(*p), true
	case *Size:
		return int64(*p), true
	case *time.Duration:
		return int64(*p), true
	}
	return 0, false
}

// bound writes one end of the option's range in the option's unit.
func (o Option) bound(v int64) string {
	switch o.Kind {
	case Bytes:
		return Size(v).String()
	case Duration:
		return shortDuration(time.Duration(v))
	}
	return strconv.FormatInt(v, 10)
}

// Range says in words which values the option takes; empty if any.
func (o Option) Range() string {
	switch {
	case o.Kind == Choice:
		return strings.Join(o.Choices, ", ")
	case o.Kind == Bytes && o.Max == 1<<63-1:
		return "at least " + o.bound(o.Min)
	case o.Kind == Count || o.Kind == Bytes || o.Kind == Duration:
		return o.bound(o.Min) + " to " + o.bound(o.Max)
	}
	return ""
}

// shortDuration writes 5m instead of 5m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
