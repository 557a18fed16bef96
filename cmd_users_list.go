package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"

	simserver "sim/server" // main has a variable called server
	"sim/store"
)

const usersListHelp = `A line a person: name, state, when the account was made and when its password or code was set. The state is active, disabled, invited
(a code is out that was not used yet, and until when) or expired (it was not used in time). While the server runs it shows who is online.
With PREFIX only names that begin so. With --json an object a line: "v":1, "type":"user", and the same facts.`

const usersLogHelp = `A line a change, the oldest first: number, time, what was done, to whom, and by whom. The log is written with each change and can't be
changed; it holds the newest 100,000. With --json an object a line: "v":1, "type":"log", and the same facts.`

// Times are those of this machine's zone, which stands with them.
const (
	clock     = "2006-01-02 15:04 MST"
	fineClock = "2006-01-02 15:04:05 MST"
)

func jsonFlag() cli.Flag { return &cli.BoolFlag{Name: "json", Usage: "print objects, one a line"} }

// userObject and logObject are what --json prints.
type userObject struct {
	V       int        `json:"v"`
	Type    string     `json:"type"`
	Name    string     `json:"name"`
	State   string     `json:"state"`
	Expires *time.Time `json:"expires,omitempty"`
	Created time.Time  `json:"created"`
	Changed time.Time  `json:"changed"`
	Online  *bool      `json:"online,omitempty"` // when a server runs
}

type logObject struct {
	V     int       `json:"v"`
	Type  string    `json:"type"`
	Seq   uint64    `json:"seq"`
	Time  time.Time `json:"time"`
	Act   string    `json:"act"`
	Name  string    `json:"name,omitempty"`
	Actor string    `json:"actor"`
}

// stateOf is what a person can do now.
func stateOf(p simserver.Person, now time.Time) string {
	switch {
	case p.Disabled:
		return "disabled"
	case p.Code && !p.Expires.IsZero() && !now.Before(p.Expires):
		return "expired"
	case p.Code:
		return "invited"
	}
	return "active"
}

func listUsers(c *cli.Context) error {
	if err := noMoreArguments(c, 1, "PREFIX"); err != nil {
		return err
	}
	prefix := strings.ToLower(c.Args().First())
	return list(c, func(accounts simserver.Accounts, p *printer) error {
		p.header("NAME", "STATE", "ONLINE", "CREATED", "SET", "UNTIL")
		now := time.Now()
		for after := ""; ; {
			page, err := accounts.List(after)
			if err != nil || len(page) == 0 {
				return err
			}
			for _, person := range page {
				if strings.HasPrefix(person.Name, prefix) {
					p.user(person, now, accounts.Live())
				}
				after = person.Name
			}
		}
	})
}

func listLog(c *cli.Context) error {
	if err := noMoreArguments(c, 0, ""); err != nil {
		return err
	}
	return list(c, func(accounts simserver.Accounts, p *printer) error {
		for after := uint64(0); ; {
			page, err := accounts.Log(after)
			if err != nil || len(page) == 0 {
				return err
			}
			for _, e := range page {
				p.entry(e)
				after = e.Seq
			}
		}
	})
}

// list runs a command that prints rows.
func list(c *cli.Context, rows func(simserver.Accounts, *printer) error) error {
	a := administrationOf(c)
	accounts, err := a.open()
	if err != nil {
		return err
	}
	defer accounts.Close()
	p := &printer{out: bufio.NewWriter(a.stdout)}
	if c.Bool("json") {
		p.objects = json.NewEncoder(p.out)
	} else {
		p.table = tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	}
	if err := rows(accounts, p); err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return fmt.Errorf("the list could not be written to standard output: %w", err)
	}
	return nil
}

// A printer prints rows of a table, or objects. Its first error is flush's.
type printer struct {
	out     *bufio.Writer
	table   *tabwriter.Writer
	objects *json.Encoder // nil for a table
}

func (p *printer) header(columns ...string) { p.row(columns...) }

func (p *printer) row(columns ...string) {
	if p.objects == nil {
		io.WriteString(p.table, strings.Join(columns, "\t")+"\n")
	}
}

func (p *printer) user(person simserver.Person, now time.Time, live bool) {
	state := stateOf(person, now)
	if p.objects != nil {
		o := userObject{V: 1, Type: "user", Name: person.Name, State: state, Created: person.Created, Changed: person.Changed}
		if !person.Expires.IsZero() {
			o.Expires = &person.Expires
		}
		if live {
			o.Online = &person.Online
		}
		p.objects.Encode(o)
		return
	}
	online, until := "-", "-"
	switch {
	case live && person.Online:
		online = "yes"
	case live:
		online = "no"
	}
	if !person.Expires.IsZero() {
		until = person.Expires.Local().Format(clock)
	}
	p.row(person.Name, state, online, person.Created.Local().Format(clock), person.Changed.Local().Format(clock), until)
}

func (p *printer) entry(e store.Entry) {
	if p.objects != nil {
		p.objects.Encode(logObject{V: 1, Type: "log", Seq: e.Seq, Time: e.Time, Act: e.Act.String(), Name: e.Name, Actor: string(e.Actor)})
		return
	}
	name := e.Name
	if name == "" {
		name = "-"
	}
	p.row(fmt.Sprint(e.Seq), e.Time.Local().Format(fineClock), e.Act.String(), name, string(e.Actor))
}

func (p *printer) flush() error {
	if p.objects == nil {
		if err := p.table.Flush(); err != nil {
			return err
		}
	}
	return p.out.Flush()
}
