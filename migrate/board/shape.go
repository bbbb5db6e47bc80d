package board

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// shapes are what the page's template needs to show numbers. The script shows
// them the same way.
var shapes = template.FuncMap{
	"size":    func(n int64) string { return humanize.IBytes(uint64(max(n, 0))) },
	"percent": func(b Bar) int64 { return percent(b.Done, b.Total) },
	"clock":   clock,
	"seconds": func(s float64) string { return time.Duration(s * float64(time.Second)).Round(time.Second).String() },
	"took":    took,
	"chart":   chart,
	"share":   func(t Totals, n int) int64 { return percent(int64(n), int64(t.Systems)) },
}

func percent(done, total int64) int64 {
	if total <= 0 {
		return 0
	}
	return min(int64(float64(done)*100/float64(total)), 100)
}

func clock(t any) string {
	switch t := t.(type) {
	case time.Time:
		return t.Format("2006-01-02 15:04:05 MST")
	case *time.Time:
		if t != nil {
			return clock(*t)
		}
	}
	return ""
}

// took is how long a System took, empty when it has not ended.
func took(c Card) string {
	if c.Started == nil || c.Ended == nil {
		return ""
	}
	return c.Ended.Sub(*c.Started).Round(time.Second).String()
}

// Size of the chart's drawing area.
const chartWidth, chartHeight = 600, 120

// chart draws the throughput as the points of an SVG polyline.
func chart(rates []Sample) string {
	if len(rates) < 2 {
		return ""
	}
	var most int64 = 1
	for _, s := range rates {
		most = max(most, s.Rate)
	}
	first, last := rates[0].Time, rates[len(rates)-1].Time
	span := last.Sub(first)
	if span <= 0 {
		return ""
	}
	var out strings.Builder
	for _, s := range rates {
		x := float64(chartWidth) * float64(s.Time.Sub(first)) / float64(span)
		y := chartHeight - float64(chartHeight)*float64(s.Rate)/float64(most)
		fmt.Fprintf(&out, "%.1f,%.1f ", x, y)
	}
	return strings.TrimSpace(out.String())
}
