package main

import (
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Sizes of what is measured.
const (
	textSize = 256 // bytes of a text
	maxBatch = 60  // texts that fit in a record of a floor, and leave a byte to tell the padding by
	pairs    = 64
	rate     = 500 // texts a second, where the latency is measured
)

type options struct {
	only    string
	rounds  int
	time    time.Duration
	window  int
	batch   int
	idle    int
	sim     string
	beside  string
	against string
	svg     string
	latency bool
	seen    bool
	easy    bool
	growth  bool
	herd    int
	rush    int
	most    int
	logIns  int
}

func main() {
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], rolePrefix) {
		if err := serve(strings.TrimPrefix(os.Args[1], rolePrefix), os.Args[2:]); err != nil {
			fatal(err)
		}
		return
	}
	var o options
	flag.StringVar(&o.only, "only", "", "measure these `SYSTEMS` alone, separated by commas: "+strings.Join(names(), ", "))
	flag.IntVar(&o.rounds, "rounds", 3, "how often each measure is taken; what is told is the median")
	flag.DurationVar(&o.time, "time", 700*time.Millisecond, "how long one measure runs, that of the latency twice as long; the system counts CPU in hundredths of a second")
	flag.IntVar(&o.window, "window", 64, "texts of a pair on their way at the most, where they are pipelined")
	flag.IntVar(&o.batch, "batch", 16, "texts that a sender writes at once, where they are pipelined")
	flag.IntVar(&o.idle, "idle", 500, "connections whose memory is measured; 0 for none. 10,000 of sim's take some minutes without -easy")
	flag.StringVar(&o.sim, "sim", "", "sim's `BINARY`; without it one is built from the working tree")
	flag.StringVar(&o.beside, "beside", "", "another build of sim, a `BINARY` that is measured beside this one, as other and other-sealed")
	flag.StringVar(&o.against, "against", "", "also tell how many times as much as this `SYSTEM` each takes: the medians of the rounds' ratios")
	flag.StringVar(&o.svg, "svg", "bench.svg", "the plot's `FILE`; empty for none")
	flag.BoolVar(&o.latency, "latency", false, "measure the latency alone: it needs many rounds, 31 or so, since the machine wakes its processors when it likes")
	flag.BoolVar(&o.seen, "seen", false, "with -most: the sessions can be resumed, as those of sim-seen")
	flag.BoolVar(&o.easy, "easy", false, "sim's server is its package in this program, with a puzzle of 4 bits: thousands come in within a minute")
	flag.BoolVar(&o.growth, "growth", false, "measure how sim's cost grows with sessions and with the size of a text, and nothing else; see -easy and -svg")
	flag.IntVar(&o.herd, "herd", 0, "let so many sessions of sim lose their connections at once and come back, and measure nothing else; see -easy")
	flag.IntVar(&o.rush, "rush", 0, "let so many people log in at once, and measure nothing else; see -easy")
	flag.IntVar(&o.most, "most", 0, "let so many sessions of sim in, or as many as this machine lets, tell what they hold and what stopped them, and measure nothing else; see -easy")
	flag.IntVar(&o.logIns, "logins", 0, "let so many people log in, a round, beside the parts of a log-in in a process of their own, and measure nothing else; see -easy")
	flag.Parse()
	if o.batch < 1 || o.batch > maxBatch || o.window < o.batch || o.rounds < 1 || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "bench: a batch has 1 to 60 texts, a window at least a batch, and there is at least one round; go run . -h tells the flags")
		os.Exit(2)
	}
	if o.seen && o.most == 0 {
		fmt.Fprintln(os.Stderr, "bench: -seen goes with -most; elsewhere -only sim-seen")
		os.Exit(2)
	}
	if err := run(&o); err != nil {
		fatal(err)
	}
}

func fatal(err error) {
	fmt.Fprintln(os.Stderr, "bench:", err)
	os.Exit(1)
}

// names are those of all systems.
func names() (all []string) {
	for _, s := range systems {
		all = append(all, s.name)
	}
	return all
}

// chosen are the systems that are asked for and that this machine has.
func chosen(o *options) (list []*system, err error) {
	var only []string
	if o.only != "" {
		only = strings.Split(o.only, ",")
	}
	for _, name := range only {
		if !slices.Contains(names(), name) {
			return nil, fmt.Errorf("-only: there is no system %q; there are %s", name, strings.Join(names(), ", "))
		}
	}
	for i := range systems {
		s := &systems[i]
		switch {
		case only != nil && !slices.Contains(only, s.name):
		case s.other && o.beside == "":
			if only != nil {
				fmt.Fprintf(os.Stderr, "%s is left out: -beside names no binary\n", s.name)
			}
		case s.missing != nil && s.missing() != "":
			fmt.Fprintf(os.Stderr, "%s is left out: %s\n", s.name, s.missing())
		default:
			list = append(list, s)
		}
	}
	if o.against != "" && !slices.ContainsFunc(list, func(s *system) bool { return s.name == o.against }) {
		return nil, fmt.Errorf("-against: %q is not measured", o.against)
	}
	return list, nil
}

func run(o *options) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		killAll()
		os.RemoveAll(dir)
		os.Exit(130)
	}()

	if o.growth {
		picture, err := measureGrowth(o, dir, os.Stdout)
		if err != nil || o.svg == "" {
			return err
		}
		return os.WriteFile(o.svg, picture, 0o644)
	}
	if o.herd > 0 {
		h, err := measureHerd(o, dir)
		if err == nil {
			h.print(os.Stdout, "sessions were cut off at once and are back", o.herd)
		}
		return err
	}
	if o.rush > 0 {
		r, err := measureRush(o, dir)
		if err == nil {
			r.print(os.Stdout, "people came at once and are in", o.rush)
		}
		return err
	}
	if o.logIns > 0 {
		c, err := measureLogIns(o, dir)
		if err == nil {
			c.print(os.Stdout, o.logIns)
		}
		return err
	}
	if o.most > 0 {
		m, err := measureMost(o, dir)
		if err == nil {
			m.print(os.Stdout)
		}
		return err
	}
	list, err := chosen(o)
	if err != nil {
		return err
	}
	if o.latency {
		o.idle = 0
	}
	results, err := measureAll(o, dir, list)
	if err != nil {
		return err
	}
	printTable(os.Stdout, o, results)
	if o.against != "" {
		printRatios(os.Stdout, o.against, results)
	}
	if !o.easy && !o.latency && slices.ContainsFunc(list, func(s *system) bool { return s.name == "sim" }) {
		if err := realLogIns(o, dir, os.Stdout); err != nil {
			return fmt.Errorf("log-ins with Argon2id: %w", err)
		}
	}
	if o.svg == "" {
		return nil
	}
	return os.WriteFile(o.svg, plot(results), 0o644)
}
