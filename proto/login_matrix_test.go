package proto

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
)

// The server takes one body in each state: of the type that is due, of its length, with the contents that are due. All else ends the
// login for good; before a right mac1 with ErrSilence, after it with an error for the log.
func TestServerMatrix(t *testing.T) {
	w := newWorld(t)
	at, done := w.stages(t, w.config)
	at[atProof] = w.stage(t, w.config, atProof)
	refused := NewLoginServer(w.config, w.now)
	if o := w.handshake(t, w.client(t, "alice"), refused, "wrong", nil); o.serverErr != ErrRefused {
		t.Fatal(o.serverErr)
	}
	versions := NewLoginServer(w.config, w.now)
	versions.Handle(w.now, helloOf(w, []byte{2}))
	silent := NewLoginServer(w.config, w.now)
	silent.Handle(w.now, []byte{0})
	cleared := NewLoginServer(w.config, w.now)
	cleared.Clear()

	states := []struct {
		name   string
		server *LoginServer
		due    []byte // nil when nothing is
		silent bool
	}{
		{"awaits Hello", at[atHello].server, at[atHello].body, true},
		{"awaits Solution", at[atSolution].server, at[atSolution].body, false},
		{"awaits Login", at[atLogin].server, at[atLogin].body, false},
		{"awaits Proof", at[atProof].server, at[atProof].body, false},
		{"accepted", done.server, nil, false},
		{"refused", refused, nil, false},
		{"of other versions", versions, nil, false},
		{"silent", silent, nil, true},
		{"cleared", cleared, nil, true},
	}
	var messages [][]byte
	for i := range at {
		b := at[i].body
		messages = append(messages, b, b[:len(b)-1], append(bytes.Clone(b), 0), b[:1])
	}
	messages = append(messages, []byte{}, nil, []byte{msgRefusal, 1, 1}, []byte{msgBusy, 0, 1}, make([]byte, 1<<16-1))
	for typ := range 256 { // every type, in each length that is ever due
		for _, n := range []int{helloMin, helloMax, solutionLen, loginLen, proofLen} {
			messages = append(messages, append([]byte{byte(typ)}, make([]byte, n-1)...))
		}
	}
	taken := 0
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			if state.server.Greeted() == state.silent {
				t.Errorf("Greeted is %v", state.server.Greeted())
			}
			for i, m := range messages {
				s := cloneServer(state.server)
				if state.due != nil && bytes.Equal(m, state.due) {
					taken++
					if _, _, err := s.Handle(w.now, m); err != nil {
						t.Fatal("the due one is refused: ", err)
					}
					continue
				}
				s.srp = nil // which the copies share, and a failed one clears; none of these gets so far
				for _, again := range []string{"", " again"} {
					out, session, err := s.Handle(w.now, m)
					if out != nil || session != nil {
						t.Fatalf("message %d%s: %d bytes of answer", i, again, len(out))
					}
					if state.silent && err != ErrSilence || !state.silent && !isPeer(err) {
						t.Fatalf("message %d%s: %v", i, again, err)
					}
				}
				if s.state != TurnOver || s.Greeted() == state.silent {
					t.Fatalf("message %d: state %d, greeted %v", i, s.state, s.Greeted())
				}
				if state.due != nil {
					if _, _, err := s.Handle(w.now, state.due); err == nil {
						t.Fatalf("message %d: the due one is taken after a fault", i)
					}
				}
			}
		})
	}
	if taken != 4 {
		t.Errorf("%d messages were taken", taken)
	}
}

// Admits takes exactly the lengths that are due, so that nothing else is ever read, and any other ends the login.
func TestServerAdmits(t *testing.T) {
	w := newWorld(t)
	at, done := w.stages(t, w.config)
	for _, state := range []struct {
		server   *LoginServer
		min, max int
		err      error
	}{
		{at[atHello].server, 51, 58, ErrSilence}, {at[atSolution].server, 161, 161, nil}, {at[atLogin].server, 1457, 1457, nil},
		{at[atProof].server, 209, 209, nil}, {done.server, 1, 0, nil},
	} {
		for n := range 1 << 16 {
			s := *state.server
			err := s.Admits(n)
			if n >= state.min && n <= state.max {
				if err != nil {
					t.Fatalf("state %d, %d bytes: %v", state.server.state, n, err)
				}
				continue
			}
			if err == nil || state.err != nil && err != state.err || state.err == nil && !isPeer(err) {
				t.Fatalf("state %d, %d bytes: %v", state.server.state, n, err)
			}
			if s.state != TurnOver {
				t.Fatalf("state %d goes on after %d bytes", state.server.state, n)
			}
			if n > 2000 && n < 65000 {
				continue
			}
			if err := s.Admits(state.min); err == nil {
				t.Fatalf("state %d: goes on after %d bytes", state.server.state, n)
			}
		}
	}
}

// The client takes one step in each state, with the message that is due. All else ends the login for good.
func TestClientMatrix(t *testing.T) {
	w := newWorld(t)
	at, done := w.stages(t, w.config)
	at[atSalt] = w.stage(t, w.config, atSalt)
	// at[i].client is as it was when the body i arrived somewhere; solving and deriving come between the client's own steps.
	solves, derives := cloneClient(at[atChallenge].client), cloneClient(at[atSalt].client)
	task1, err := solves.Challenge(at[atChallenge].body)
	if err != nil {
		t.Fatal(err)
	}
	task2, err := derives.Salt(at[atSalt].body)
	if err != nil {
		t.Fatal(err)
	}
	solution1, solution2 := solve(t, task1), solve(t, task2)
	states := []struct {
		name   string
		client *LoginClient
		due    string
	}{
		{"start", w.client(t, "alice"), "Hello()"},
		{"awaits Challenge", at[atChallenge].client, "Challenge(Challenge)"},
		{"solves", solves, "Login()"},
		{"awaits Salt", at[atSalt].client, "Salt(Salt)"},
		{"derives", derives, "Proof()"},
		{"awaits Welcome", at[atWelcome].client, "Welcome(Welcome)"},
		{"done", done.client, ""},
	}
	// A hint is for whoever waits.
	for _, i := range []int{0, 2, 4, 6} {
		for _, hint := range [][]byte{{msgBusy, 0, 1}, {msgRefusal, 1, 2}} {
			for _, message := range []int{atChallenge, atSalt, atWelcome} {
				c := cloneClient(states[i].client)
				c.srp = nil // as below
				if err := give(c, message, w.now, hint); !isPeer(err) {
					t.Errorf("%s: %v", states[i].name, err)
				}
			}
		}
	}
	type step struct {
		name string
		do   func(c *LoginClient) error
	}
	steps := []step{
		{"Hello()", func(c *LoginClient) error { _, err := c.Hello(w.now); return err }},
		{"Login()", func(c *LoginClient) error { _, err := c.Login(w.now, solution1); return err }},
		{"Proof()", func(c *LoginClient) error { _, err := c.Proof(w.now, solution2, new([32]byte)); return err }},
	}
	add := func(name string, m []byte) {
		for _, i := range []int{atChallenge, atSalt, atWelcome} {
			steps = append(steps, step{bodyNames[i] + "(" + name + ")", func(c *LoginClient) error { return give(c, i, w.now, bytes.Clone(m)) }})
		}
	}
	for i := range at {
		b := at[i].body
		add(bodyNames[i], b)
		add(bodyNames[i]+" cut", b[:len(b)-1])
		add(bodyNames[i]+" and a byte", append(bytes.Clone(b), 0))
		add("type of "+bodyNames[i], b[:1])
	}
	add("nothing", nil)
	for typ := range 256 {
		for _, n := range []int{challengeLen, saltLen, welcomeLen} {
			add(fmt.Sprintf("type %d, %d bytes", typ, n), append([]byte{byte(typ)}, make([]byte, n-1)...))
		}
	}
	taken := 0
	for _, state := range states {
		t.Run(state.name, func(t *testing.T) {
			for _, step := range steps {
				if step.name == state.due {
					continue
				}
				c := cloneClient(state.client)
				c.srp = nil // which the copies share, and a failed one clears; none of these gets so far
				err := step.do(c)
				if err == nil || !isPeer(err) && !errors.Is(err, ErrNoProof) {
					t.Fatalf("%s: %v", step.name, err)
				}
				if c.state != clientDone {
					t.Fatalf("%s: goes on in state %d", step.name, c.state)
				}
				for _, later := range steps[:3] {
					if later.do(c) == nil {
						t.Fatalf("%s is taken after %s", later.name, step.name)
					}
				}
			}
			for _, step := range steps {
				if step.name == state.due {
					taken++
					if err := step.do(state.client); err != nil { // last, since SRP's step can be taken once
						t.Fatalf("%s: %v", step.name, err)
					}
				}
			}
		})
	}
	if taken != 6 {
		t.Errorf("%d steps were taken", taken)
	}
}
