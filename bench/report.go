package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// printTable writes the table as docs/PERFORMANCE.md has it: medians, and from where to where the rounds went.
func printTable(w io.Writer, o *options, results []*result) {
	fmt.Fprintf(w, "%s; %d rounds of %v; %d bytes a text; pipelined: %d texts a write, at most %d on their way; %d idle connections\n\n",
		versions(), o.rounds, o.time, textSize, o.batch, o.window, o.idle)
	printResults(w, results)
}

// printRatios writes how many times as much as one of the systems each takes: round by round, since what others do on the machine changes with time.
func printRatios(w io.Writer, name string, results []*result) {
	against := results[slices.IndexFunc(results, func(r *result) bool { return r.system.name == name })]
	fmt.Fprintf(w, "\ntimes what %s takes\n\n", against.system.what)
	var ratios []*result
	for _, r := range results {
		times := &result{system: r.system}
		for m := range measure(measureCount) {
			for round, v := range r.values[m] {
				if round < len(against.values[m]) {
					times.add(m, v/against.values[m][round])
				}
			}
		}
		ratios = append(ratios, times)
	}
	printResults(w, ratios)
}

func printResults(w io.Writer, results []*result) {
	measured := measuredOf(results)
	fmt.Fprint(w, "|")
	for _, m := range measured {
		fmt.Fprintf(w, " | %s", columns[m].short)
	}
	fmt.Fprintf(w, " |\n| --- |%s\n", strings.Repeat(" --- |", len(measured)))
	for _, r := range results {
		fmt.Fprintf(w, "| %s", r.system.what)
		for _, m := range measured {
			fmt.Fprintf(w, " | %s", r.cell(m))
		}
		fmt.Fprintln(w, " |")
	}
}

// measuredOf are the measures that were taken of any system.
func measuredOf(results []*result) (list []measure) {
	for m := range measure(measureCount) {
		if slices.ContainsFunc(results, func(r *result) bool { return len(r.values[m]) > 0 }) {
			list = append(list, m)
		}
	}
	return list
}

func (r *result) cell(m measure) string {
	median, least, most, ok := r.spread(m)
	switch {
	case !ok:
		return ""
	case len(r.values[m]) == 1:
		return number(median)
	}
	return fmt.Sprintf("%s (%s–%s)", number(median), number(least), number(most))
}

// number writes three digits that count.
func number(v float64) string {
	switch {
	case v < 10:
		return fmt.Sprintf("%.2f", v)
	case v < 100:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// versions are those of what was measured.
func versions() string {
	list := []string{runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH, fmt.Sprintf("%d processors", runtime.NumCPU())}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			if strings.HasSuffix(m.Path, "/nats-server/v2") {
				list = append(list, "NATS "+m.Version)
			}
		}
	}
	if noMosquitto() == "" {
		list = append(list, "Mosquitto "+mosquittoVersion())
	}
	if noDERP() == "" {
		list = append(list, "DERP of Tailscale "+derpVersion())
	}
	if noErgo() == "" {
		list = append(list, "Ergo "+ergoVersion())
	}
	return strings.Join(list, ", ")
}
