package cimi

import (
	"regexp"
	"strconv"
	"time"
)

// Interval durations as Meters name them (T47).
var intervals = map[string]time.Duration{
	"hourly": time.Hour, "daily": 24 * time.Hour, "weekly": 7 * 24 * time.Hour, "monthly": 30 * 24 * time.Hour, "yearly": 365 * 24 * time.Hour,
}

var durationForm = regexp.MustCompile(`^(-)?P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$`)

// durationOf is the length of an xs:duration (5.5.3), or of an interval that a
// Meter names; a month counts 30 days, a year 365.
func durationOf(s string) (time.Duration, bool) {
	if d, ok := intervals[s]; ok {
		return d, true
	}
	m := durationForm.FindStringSubmatch(s)
	if m == nil || len(s) < 3 || len(s) > 40 {
		return 0, false
	}
	var seconds float64
	for i, unit := range []float64{365 * 86400, 30 * 86400, 86400, 3600, 60, 1} {
		if m[i+2] == "" {
			continue
		}
		n, err := strconv.ParseFloat(m[i+2], 64)
		if err != nil {
			return 0, false
		}
		seconds += n * unit
	}
	if seconds > float64(1<<63-1)/1e9 {
		return 0, false
	}
	if m[1] == "-" {
		seconds = -seconds
	}
	return time.Duration(seconds * 1e9), true
}
