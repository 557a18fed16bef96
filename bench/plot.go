package main

import (
	"bytes"
	"fmt"
	"strings"
)

// Sizes of the plot, in its own units.
const (
	plotWidth   = 900
	labelWidth  = 260
	barHeight   = 16
	barGap      = 5
	panelHead   = 34
	numberWidth = 90
)

// plot draws a panel for each measure, and in it a bar for each system: the median, and a line from the least to the largest.
func plot(results []*result) []byte {
	var b bytes.Buffer
	panel := panelHead + len(results)*(barHeight+barGap)
	measured := measuredOf(results)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", plotWidth, len(measured)*panel+10)
	fmt.Fprintln(&b, `<rect width="100%" height="100%" fill="white"/>`)
	for i, m := range measured {
		top := i * panel
		fmt.Fprintf(&b, `<text x="8" y="%d" font-weight="bold">%s</text>`+"\n", top+22, columns[m].long)
		var full float64
		for _, r := range results {
			_, _, most, _ := r.spread(m)
			full = max(full, most)
		}
		for i, r := range results {
			drawBar(&b, r, m, top+panelHead+i*(barHeight+barGap), full)
		}
	}
	fmt.Fprintln(&b, `</svg>`)
	return b.Bytes()
}

func drawBar(b *bytes.Buffer, r *result, m measure, y int, full float64) {
	middle := float64(y) + barHeight/2
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", labelWidth-8, y+barHeight-4, r.system.what)
	median, least, most, ok := r.spread(m)
	if !ok {
		return
	}
	x := func(v float64) float64 { return labelWidth + v/full*(plotWidth-labelWidth-numberWidth) }
	fill := "#7f9db9"
	switch {
	case r.system.floor:
		fill = "#cccccc"
	case strings.HasPrefix(r.system.name, "sim"):
		fill = "#c0504d"
	}
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/>`+"\n", labelWidth, y, x(median)-labelWidth, barHeight, fill)
	fmt.Fprintf(b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="black"/>`+"\n", x(least), middle, x(most), middle)
	fmt.Fprintf(b, `<text x="%.1f" y="%d">%s</text>`+"\n", x(most)+6, y+barHeight-4, number(median))
}
