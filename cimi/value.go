package cimi

import (
	"strings"
	"time"
)

// Int, Bool and Now make optional values: an attribute that is absent differs from zero (5.5).
func Int(v int64) *int64 { return &v }

// Bool makes an optional boolean.
func Bool(v bool) *bool { return &v }

// IntValue is the value of an optional integer, 0 when absent.
func IntValue(v *int64) int64 {
	if v == nil {
		return 0
	}
	return *v
}

// BoolValue is the value of an optional boolean, false when absent.
func BoolValue(v *bool) bool { return v != nil && *v }

// Time is a dateTime (5.5.2). Clouds send other forms; what cannot be parsed
// is kept as Text, with a zero time, and written back as it came.
type Time struct {
	time.Time
	Text string
}

// TimeOf makes an optional dateTime in UTC, to the microsecond.
func TimeOf(t time.Time) *Time { return &Time{Time: t.UTC().Truncate(time.Microsecond)} }

var timeLayouts = []string{
	time.RFC3339Nano,
	"2006-01-02T15:04:05Z0700",
	"2006-01-02T15:04:05",
	"2006-01-02 15:04:05 -0700",
	"2006-01-02 15:04:05 MST",
	"2006-01-02 15:04:05",
	time.RFC1123Z, time.RFC1123, time.RFC822Z, time.RFC822,
	"Mon, 2 Jan 2006 15:04:05 -0700", "Mon, 2 Jan 2006 15:04:05 MST",
	time.UnixDate, time.RubyDate, time.ANSIC,
	"2006-01-02",
}

// ParseTime reads a dateTime in xs:dateTime or one of the forms met in the wild.
func ParseTime(s string) *Time {
	s = strings.TrimSpace(s)
	for _, layout := range timeLayouts {
		t, err := time.ParseInLocation(layout, s, time.UTC)
		if err != nil {
			continue
		}
		if t, ok := zoned(t); ok && t.Year() > 0 && t.Year() < 10000 {
			return &Time{Time: t}
		}
	}
	return &Time{Text: s}
}

// namedZones are the offsets, in hours, of the zones that RFC 822 names; other
// abbreviations mean this in one country and that in another.
var namedZones = map[string]int{"UTC": 0, "GMT": 0, "UT": 0, "Z": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}

// zoned is a time whose zone was given by name in the zone of that name, which
// package time takes for UTC; ok is false where the name does not say.
func zoned(t time.Time) (_ time.Time, ok bool) {
	name, offset := t.Zone()
	if offset != 0 || name == "" || strings.HasPrefix(name, "GMT") {
		return t, true
	}
	hours, ok := namedZones[name]
	if !ok {
		return t, false
	}
	if hours != 0 {
		zone := time.FixedZone(name, hours*60*60)
		t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
	}
	return t, true
}

// String is xs:dateTime, or the text that could not be parsed.
func (t *Time) String() string {
	if t == nil {
		return ""
	}
	if t.Text != "" || t.Time.IsZero() {
		return t.Text
	}
	return t.Time.Format(time.RFC3339Nano)
}

// Ref is a reference to another resource (5.5.6). Value holds the attributes
// given by value: the whole target when it is expanded (4.1.6.4), a template
// by value when Href is empty, overrides of the template when it is not (4.2.1.1).
type Ref[T any] struct {
	Href  string
	Value *T
}

// RefTo makes a reference by href.
func RefTo[T any](href string) *Ref[T] { return &Ref[T]{Href: href} }

// RefBy makes a reference by value.
func RefBy[T any](v *T) *Ref[T] { return &Ref[T]{Value: v} }

// HrefOf is the href of an optional reference, empty when absent.
func HrefOf[T any](r *Ref[T]) string {
	if r == nil {
		return ""
	}
	return r.Href
}

// reference is what the codecs see of a Ref, whatever its T.
type reference interface {
	hrefp() *string
	resource() Resource
	make() Resource
	set(Resource)
}

func (r *Ref[T]) hrefp() *string { return &r.Href }

func (r *Ref[T]) resource() Resource {
	if r.Value == nil {
		return nil
	}
	return any(r.Value).(Resource)
}

func (r *Ref[T]) make() Resource {
	r.Value = new(T)
	return any(r.Value).(Resource)
}

// set includes a target by value: as it is where the types agree, else its
// common attributes and, in an Unknown, the others as extension attributes.
func (r *Ref[T]) set(target Resource) {
	if v, ok := any(target).(*T); ok {
		r.Value = v
		return
	}
	b, err := MarshalJSON(target)
	if err != nil {
		return
	}
	u := r.make()
	obj, err := parseJSON(b, Limits{})
	if m, ok := obj.(map[string]any); ok && err == nil {
		if un, ok := u.(*Unknown); ok {
			un.URI, un.Type = resourceURI(target, V2), target.TypeName()
		}
		_ = bindObject(u, m, "")
	}
}

// lastWord is what follows the last "/" of a URI.
func lastWord(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }
