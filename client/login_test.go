package client

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
	"sim/proto/puzzle"
)

func TestFirstLines(t *testing.T) {
	for name, tt := range map[string]struct {
		user, file bool
		lines      []string
	}{
		"neither":            {false, false, []string{"Alice", passwordOf("alice"), "list"}},
		"--user":             {true, false, []string{passwordOf("alice") + "\r", "list"}},
		"--user and a file":  {true, true, []string{"list"}},
		"a password of dash": {true, false, []string{passwordOf("alice"), "list"}},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				p := s.starts(func(c *Config) {
					if tt.user {
						c.User = "alice"
					}
					if tt.file {
						c.PasswordFile = passwordFile(t, "alice", 0o600)
					}
					if name == "a password of dash" {
						c.PasswordFile = "-"
					}
				})
				p.types(tt.lines...)
				p.prints("= logged in as alice", "= online (1): alice")
				p.leaves()
				p.exits(ExitOK)
				p.prints("= logged out alice")
				p.complains()
			})
		})
	}
}

func TestInputEndsTooEarly(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.starts(nil)
		p.leaves()
		p.exits(ExitUsage)
		p.complains("before a user name")
		p = s.starts(nil)
		p.types("alice")
		p.leaves()
		p.exits(ExitUsage)
		p.complains("before the password")
		p = s.starts(func(c *Config) { c.User = "alice" })
		p.leaves()
		p.exits(ExitUsage)
		p.complains("before the password")
		p = s.starts(nil)
		p.types("no name!")
		p.exits(ExitUsage)
		p.complains("a user name is")
		p = s.starts(func(c *Config) { c.User = "alice" })
		p.types(strings.Repeat("x", 10_000))
		p.exits(ExitUsage)
		p.complains("too long")
		if s.dials.Load() != 0 {
			t.Error("the server was asked")
		}
	})
}

func TestBrokenInput(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.comes("alice")
		p.keyboard.ends(errors.New("read: input/output error"))
		p.exits(ExitFailed)
		p.complains("the input broke off: input/output error")
		p.prints("= logged out alice")
	})
}

// A refused login ends with 3, and not one line more is read: it could be anything. Unknown names are no other case.
func TestRefused(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		var said []string
		for _, name := range []string{"alice", "nobody"} {
			p := s.starts(nil)
			p.keyboard.adds(name + "\n")
			p.keyboard.adds("a wrong password\n")
			p.keyboard.adds("list\n")
			p.exits(ExitRefused)
			if n := p.keyboard.lines(); n != 2 {
				t.Errorf("%d lines were read", n)
			}
			said = append(said, p.err.fresh())
			p.prints()
		}
		if said[0] != said[1] || !strings.Contains(said[0], "login refused: the user name or the password is wrong") {
			t.Errorf("%q", said)
		}
		p := s.starts(func(c *Config) { c.User = "alice" })
		p.types("short")
		p.exits(ExitRefused)
		if s.derived.Load() != 2 {
			t.Errorf("%d passwords were derived", s.derived.Load())
		}
	})
}

func TestPasswordFile(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.starts(func(c *Config) { c.User, c.PasswordFile = "alice", filepath.Join(t.TempDir(), "none") })
		p.exits(ExitUsage)
		p.complains("the password file can't be read: no such file or directory")

		p = s.starts(func(c *Config) { c.User, c.PasswordFile = "alice", t.TempDir() })
		p.exits(ExitUsage)

		for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true} {
			p = s.starts(func(c *Config) { c.User, c.PasswordFile = "alice", passwordFile(t, "alice", mode) })
			p.prints("= logged in as alice")
			if warned {
				p.complains("can be read by other users")
			} else {
				p.complains()
			}
			p.leaves()
			p.exits(ExitOK)
		}
	})
}

// A file in whose place --password-file has a wrong password: nobody is asked for another.
func TestWrongPasswordFile(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.starts(func(c *Config) { c.User, c.PasswordFile = "alice", passwordFile(t, "bob", 0o600) })
		p.exits(ExitRefused)
	})
}

// hello reads the first message of a login.
func hello(c net.Conn) { readBody(c, proto.MaxLoginBody) }

func body(b ...byte) []byte { return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...) }

// What stands in for the server, and how the login ends.
func TestHowLoginsEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		meets func(s *fakeServer, c net.Conn) bool
		code  int
		says  string
		dials int32
		after time.Duration
	}{
		"closed at once":     {func(_ *fakeServer, c net.Conn) bool { return true }, ExitNoProof, "closed the connection without a proof", 3, 0},
		"closed after Hello": {func(_ *fakeServer, c net.Conn) bool { hello(c); return true }, ExitNoProof, "closed the connection without a proof", 3, 0},
		"closed late": {func(_ *fakeServer, c net.Conn) bool { hello(c); time.Sleep(quickClose); return true },
			ExitNoProof, "closed the connection without a proof", 1, quickClose},
		"silent before Challenge": {func(_ *fakeServer, c net.Conn) bool { io.Copy(io.Discard, c); return true },
			ExitNoProof, "too busy or hangs", 1, proto.ChallengeWait},
		"half a Challenge": {func(_ *fakeServer, c net.Conn) bool {
			hello(c)
			c.Write([]byte{4, 0xe4, 2})
			io.Copy(io.Discard, c)
			return true
		},
			ExitNoProof, "was silent", 1, proto.ChallengeWait},
		"another protocol": {func(_ *fakeServer, c net.Conn) bool { hello(c); c.Write([]byte("SSH-2.0-OpenSSH\r\n")); return true },
			ExitNoProof, "or this is no sim server", 1, 0},
		"a web server": {func(_ *fakeServer, c net.Conn) bool {
			hello(c)
			c.Write([]byte("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"))
			return true
		},
			ExitNoProof, "or this is no sim server", 1, 0},
		"an empty body": {func(_ *fakeServer, c net.Conn) bool { hello(c); c.Write([]byte{0, 0}); return true }, ExitNoProof, "did not prove", 1, 0},
		"garbage for Challenge": {func(_ *fakeServer, c net.Conn) bool {
			hello(c)
			c.Write(body(make([]byte, proto.MaxServerBody)...))
			return true
		},
			ExitNoProof, "did not prove the key", 1, 0},
		"Busy": {func(_ *fakeServer, c net.Conn) bool { hello(c); c.Write(body(9, 0, 7)); return true },
			ExitLost, "too busy to log anybody in: try again in 7 s", 9, maxBusy / 7 / time.Second * 7 * time.Second},
		"Busy for long": {func(_ *fakeServer, c net.Conn) bool { hello(c); c.Write(body(9, 1, 0)); return true },
			ExitLost, "too busy to log anybody in: try again in 256 s", 1, 0},
		"Busy for a while": {func(s *fakeServer, c net.Conn) bool {
			if s.dials.Load() > 2 {
				return false
			}
			hello(c)
			c.Write(body(9, 0, 7))
			return true
		},
			ExitOK, "", 3, 14 * time.Second},
		"Refusal": {func(_ *fakeServer, c net.Conn) bool { hello(c); c.Write(body(8, 1, 9)); return true }, ExitLost, "speaks other versions", 1, 0},
		"another server's key": {func(s *fakeServer, _ net.Conn) bool { s.config.Key = newFakeServer(s.t).config.Key; return false },
			ExitNoProof, "closed the connection without a proof", 1, proto.HelloDeadline},
		"silence later":      {func(s *fakeServer, c net.Conn) bool { return s.stops(c, 1) }, ExitLost, "stopped answering during the login", 1, proto.SaltWait},
		"silence at the end": {func(s *fakeServer, c net.Conn) bool { return s.stops(c, 2) }, ExitLost, "stopped answering during the login", 1, proto.WelcomeWait},
		"too little work":    {func(s *fakeServer, _ net.Conn) bool { s.config.Directory.Argon2.Memory = 19455; return false }, ExitNoProof, "asks for password work", 1, 0},
		"too much work":      {func(s *fakeServer, _ net.Conn) bool { s.config.Directory.Argon2.Memory = 1 << 30; return false }, ExitNoProof, "asks for password work", 1, 0},
		"a harmless puzzle": {func(s *fakeServer, _ net.Conn) bool {
			s.config.PuzzleBits, s.config.AccountPuzzleBits = 8, 8
			return false
		},
			ExitOK, "", 1, 0},
		"too hard a puzzle": {func(s *fakeServer, _ net.Conn) bool { s.config.PuzzleBits = proto.MaxPuzzleBits + 1; return false }, ExitNoProof, "did not prove", 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			story(t, func(t *testing.T, s *fakeServer) {
				s.meets = func(c net.Conn) bool { return tt.meets(s, c) }
				began := time.Now()
				p := s.starts(func(c *Config) { c.User, c.PasswordFile = "alice", passwordFile(t, "alice", 0o600) })
				p.types("quit")
				p.exits(tt.code)
				said := p.err.fresh()
				if !strings.Contains(said, tt.says) || strings.Count(said, "\n") > 1 || tt.says == "" && said != "" {
					t.Errorf("%q", said)
				}
				if s.dials.Load() != tt.dials {
					t.Errorf("%d dials, want %d", s.dials.Load(), tt.dials)
				}
				if took := time.Since(began); took != tt.after {
					t.Errorf("it took %v, want %v", took, tt.after)
				}
				if tt.says == "asks for password work" && s.derived.Load() != 0 {
					t.Error("a password was derived")
				}
			})
		})
	}
}

// stops serves a login up to an answer, and is silent from there on.
func (s *fakeServer) stops(c net.Conn, answers int) bool {
	s.login(&silentConn{Conn: c, answers: answers})
	io.Copy(io.Discard, c)
	return true
}

// A silentConn writes so many times, and then only says so.
type silentConn struct {
	net.Conn
	answers int
}

func (c *silentConn) Write(b []byte) (int, error) {
	if c.answers--; c.answers < 0 {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func TestNotReached(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	s := newFakeServer(t)
	s.address.Host = l.Addr().String()
	p := s.starts(func(c *Config) { c.User, c.PasswordFile, c.dial = "alice", passwordFile(t, "alice", 0o600), nil })
	<-p.done
	if said := p.err.fresh(); p.code != ExitLost || !strings.Contains(said, "was not reached (connection refused)") {
		t.Errorf("%d, %q", p.code, said)
	}
}

// The same over a real socket, once.
func TestOverTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := newFakeServer(t)
	s.address.Host = l.Addr().String()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			go s.serve(c)
		}
	}()
	p := s.starts(func(c *Config) { c.dial = nil })
	for _, line := range []string{"alice", passwordOf("alice"), "list", "logout"} {
		p.keyboard.adds(line + "\n")
	}
	p.leaves()
	<-p.done
	if got := p.out.fresh(); p.code != ExitOK || got != "= logged in as alice\n= online (1): alice\n= logged out alice\n" {
		t.Errorf("%d, %q, %q", p.code, got, p.err.fresh())
	}
}

// At every moment of the login, an interruption ends it at once.
func TestInterruptedLogin(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		for _, meets := range []func(c net.Conn) bool{
			func(c net.Conn) bool { io.Copy(io.Discard, c); return true },
			func(c net.Conn) bool { return s.stops(c, 1) },
			func(c net.Conn) bool { return s.stops(c, 2) },
		} {
			s.meets = meets
			p := s.starts(func(c *Config) { c.User, c.PasswordFile = "alice", passwordFile(t, "alice", 0o600) })
			synctest.Wait()
			p.interrupts(0)
		}
	})
}

// interrupts is Ctrl-C for a client that is not at a terminal.
func (p *person) interrupts(within time.Duration) {
	p.t.Helper()
	began := time.Now()
	p.cancel()
	p.exits(ExitInterrupted)
	if took := time.Since(began); took > within {
		p.t.Errorf("it took %v", took)
	}
}

// A dial that succeeds when nobody wants it any more.
func TestInterruptedDial(t *testing.T) {
	story(t, func(t *testing.T, s *fakeServer) {
		p := s.starts(func(c *Config) {
			c.User, c.PasswordFile = "alice", passwordFile(t, "alice", 0o600)
			c.dial = func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
		})
		synctest.Wait()
		p.interrupts(0)
		p.complains()
	})
}

// The puzzle is solved on all cores, and given up when the login is.
func TestSolve(t *testing.T) {
	for _, bits := range []uint8{0, 4, 10} {
		p := puzzle.Puzzle{Seed: [32]byte{bits}, Count: puzzle.Count, Bits: bits}
		binding := [32]byte{1, 2, 3}
		solution, ok := solve(&p, &binding, func() bool { return false })
		if !ok || !p.Verify(&binding, solution) {
			t.Errorf("%d bits: not solved", bits)
		}
	}
	hard := puzzle.Puzzle{Count: puzzle.Count, Bits: 30}
	if _, ok := solve(&hard, new([32]byte), func() bool { return true }); ok {
		t.Error("solved, and nobody waited for it")
	}
}
