package main

import (
	"bytes"
	"fmt"
)

// A chart is one measure at each point.
type chart struct {
	title  string
	m      measure
	points []growthPoint
}

const (
	chartHeight = 150 // of its inside
	chartLeft   = 70
	chartRight  = 60
)

// plotGrowth draws the charts below each other: the medians, a line from the least to the largest, and in grey the server beside.
// The points stand evenly, since each is several times the one before.
func plotGrowth(charts []chart) []byte {
	const each = panelHead + chartHeight + 34
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, len(charts)*each+10)
	fmt.Fprintln(&b, `<rect width="100%" height="100%" fill="white"/>`)
	for i, c := range charts {
		c.draw(&b, i*each+panelHead)
	}
	fmt.Fprintln(&b, `</svg>`)
	return b.Bytes()
}

func (c chart) draw(b *bytes.Buffer, top int) {
	bottom := top + chartHeight
	fmt.Fprintf(b, `<text x="8" y="%d" font-weight="bold">%s</text>`+"\n", top-12, c.title)
	fmt.Fprintf(b, `<path d="M%d %d V%d H%d" fill="none" stroke="black"/>`+"\n", chartLeft, top, bottom, plotWidth-chartRight)
	var full float64
	for _, p := range c.points {
		_, _, most, _ := p.spread(c.m)
		full = max(full, most)
		if p.beside != nil {
			_, _, most, _ = p.beside.spread(c.m)
			full = max(full, most)
		}
	}
	full *= 1.15 // room for a number above
	x := func(i int) float64 {
		return chartLeft + (float64(i)+0.5)*(plotWidth-chartLeft-chartRight)/float64(len(c.points))
	}
	y := func(v float64) float64 { return float64(bottom) - v/full*chartHeight }
	line := func(of func(growthPoint) *result, colour string, shift float64, numbers bool) {
		path := ""
		for i, p := range c.points {
			r := of(p)
			if r == nil {
				return
			}
			median, least, most, ok := r.spread(c.m)
			if !ok {
				return
			}
			at := x(i) + shift
			path += fmt.Sprintf("%c%.1f %.1f ", "ML"[min(i, 1)], at, y(median))
			fmt.Fprintf(b, `<path d="M%.1f %.1f V%.1f" stroke="%s"/><circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", at, y(least), y(most), colour, at, y(median), colour)
			if numbers {
				fmt.Fprintf(b, `<text x="%.1f" y="%.1f">%s</text>`+"\n", at+8, y(median)-4, number(median))
			}
		}
		fmt.Fprintf(b, `<path d="%s" fill="none" stroke="%s"/>`+"\n", path, colour)
	}
	line(func(p growthPoint) *result { return p.beside }, "#999999", -6, false)
	line(func(p growthPoint) *result { return p.result }, "#c0504d", 0, true)
	for i, p := range c.points {
		fmt.Fprintf(b, `<text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n", x(i), bottom+18, p.at)
	}
}
