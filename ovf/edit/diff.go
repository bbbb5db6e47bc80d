package edit

import (
	"fmt"
	"strings"
)

// Diff is the change as a unified diff with three lines of context; empty
// where nothing changed.
func Diff(name string, before, after []byte) string {
	a, b := strings.SplitAfter(string(before), "\n"), strings.SplitAfter(string(after), "\n")
	lo := 0
	for lo < len(a) && lo < len(b) && a[lo] == b[lo] {
		lo++
	}
	ha, hb := len(a), len(b)
	for ha > lo && hb > lo && a[ha-1] == b[hb-1] {
		ha, hb = ha-1, hb-1
	}
	if lo == ha && lo == hb {
		return ""
	}
	ops := script(a[lo:ha], b[lo:hb])
	var all []line
	for _, l := range a[max(0, lo-context):lo] {
		all = append(all, line{' ', l})
	}
	all = append(all, ops...)
	for _, l := range a[ha:min(len(a), ha+context)] {
		all = append(all, line{' ', l})
	}
	var out strings.Builder
	fmt.Fprintf(&out, "--- %s\n+++ %s\n", name, name)
	hunks(&out, all, max(0, lo-context))
	return out.String()
}

const context = 3

type line struct {
	op   byte
	text string
}

// script is the shortest edit by longest common subsequence; where the middle
// is too large for that, all of it is replaced.
func script(a, b []string) []line {
	var out []line
	if len(a)*len(b) > 4_000_000 {
		for _, l := range a {
			out = append(out, line{'-', l})
		}
		for _, l := range b {
			out = append(out, line{'+', l})
		}
		return out
	}
	w := len(b) + 1
	lcs := make([]int32, (len(a)+1)*w)
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				lcs[i*w+j] = lcs[(i+1)*w+j+1] + 1
			} else {
				lcs[i*w+j] = max(lcs[(i+1)*w+j], lcs[i*w+j+1])
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, line{' ', a[i]})
			i, j = i+1, j+1
		case i < len(a) && (j == len(b) || lcs[(i+1)*w+j] >= lcs[i*w+j+1]):
			out = append(out, line{'-', a[i]})
			i++
		default:
			out = append(out, line{'+', b[j]})
			j++
		}
	}
	return out
}

// hunks prints the changed places; at is the number of lines before the first.
func hunks(out *strings.Builder, all []line, at int) {
	oldAt, newAt := at, at
	for i := 0; i < len(all); {
		if all[i].op == ' ' {
			// Leave out what is further than the context from a change.
			next := i
			for next < len(all) && all[next].op == ' ' {
				next++
			}
			if next == len(all) {
				return
			}
			skip := max(0, next-context-i)
			oldAt, newAt, i = oldAt+skip, newAt+skip, i+skip
		}
		end, quiet := i, 0
		for k := i; k < len(all) && quiet <= 2*context; k++ {
			if all[k].op == ' ' {
				quiet++
			} else {
				quiet, end = 0, k+1
			}
		}
		end = min(len(all), end+context)
		var body strings.Builder
		olds, news := 0, 0
		for _, l := range all[i:end] {
			if l.text == "" {
				continue // behind the last line break
			}
			if l.op != '+' {
				olds++
			}
			if l.op != '-' {
				news++
			}
			body.WriteByte(l.op)
			body.WriteString(strings.TrimSuffix(l.text, "\n") + "\n")
		}
		fmt.Fprintf(out, "@@ -%d,%d +%d,%d @@\n%s", oldAt+1, olds, newAt+1, news, body.String())
		oldAt, newAt, i = oldAt+olds, newAt+news, end
	}
}
