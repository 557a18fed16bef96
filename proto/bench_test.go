package proto

import (
	"bytes"
	"testing"

	"sim/proto/puzzle"
)

// BenchmarkLoginServer is the server's work for one whole login: all but the puzzles' solving, which is the client's, and the network.
func BenchmarkLoginServer(b *testing.B) {
	w := newWorld(b)
	w.config.PuzzleBits = 0
	zero := new([puzzle.SolutionSize]byte)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		c := w.client(b, "alice")
		wire, _ := c.Hello(w.now)
		hello := body(b, wire)
		b.StartTimer()
		s := NewLoginServer(w.config, w.now)
		out, _, err := s.Handle(w.now, hello)
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		if _, err = c.Challenge(body(b, out)); err != nil {
			b.Fatal(err)
		}
		wire, _ = c.Login(w.now, zero)
		third := bodies(b, wire)
		b.StartTimer()
		s.Handle(w.now, third[0])
		out, _, err = s.Handle(w.now, third[1])
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		task, err := c.Salt(body(b, out))
		if err != nil {
			b.Fatal(err)
		}
		wire, err = c.Proof(w.now, zero, derive(passwordOf("alice"), task.Salt))
		if err != nil {
			b.Fatal(err)
		}
		proof := body(b, wire)
		b.StartTimer()
		if _, _, err = s.Handle(w.now, proof); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoginClient is the client's work for one whole login without the puzzle and Argon2id.
func BenchmarkLoginClient(b *testing.B) {
	w := newWorld(b)
	w.config.PuzzleBits = 0
	zero := new([puzzle.SolutionSize]byte)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		s := NewLoginServer(w.config, w.now)
		handle := func(wire []byte) (out []byte) {
			b.StopTimer()
			defer b.StartTimer()
			for _, m := range bodies(b, wire) {
				var err error
				if out, _, err = s.Handle(w.now, m); err != nil {
					b.Fatal(err)
				}
			}
			return out[2:]
		}
		b.StartTimer()
		c := w.client(b, "alice")
		wire, _ := c.Hello(w.now)
		if _, err := c.Challenge(handle(wire)); err != nil {
			b.Fatal(err)
		}
		wire, _ = c.Login(w.now, zero)
		task, err := c.Salt(handle(wire))
		if err != nil {
			b.Fatal(err)
		}
		wire, err = c.Proof(w.now, zero, derive(passwordOf("alice"), task.Salt))
		if err != nil {
			b.Fatal(err)
		}
		if _, err = c.Welcome(w.now, handle(wire)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrongSolution is what a flood costs the server: a Hello, a Challenge, a wrong answer.
func BenchmarkWrongSolution(b *testing.B) {
	w := newWorld(b)
	w.config.PuzzleBits = 20
	hello, solution := helloOf(w, []byte{1}), append([]byte{msgSolution}, make([]byte, solutionLen-1)...)
	b.ReportAllocs()
	for b.Loop() {
		s := NewLoginServer(w.config, w.now)
		s.Handle(w.now, hello)
		if _, _, err := s.Handle(w.now, solution); err == nil {
			b.Fatal("a wrong solution was taken")
		}
	}
}

func BenchmarkSplitRecord(b *testing.B) {
	relay := AppendRelay(nil, Relay{1, Name{'b'}, Tag{1}, make([]byte, 400)})
	for _, bench := range []struct {
		name      string
		plaintext []byte
	}{{"ping", padded(AppendPing(nil, [8]byte{1}))}, {"relay", padded(relay)}, {"32 relays", padded(bytes.Repeat(relay, 32))}} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.plaintext)))
			b.ReportAllocs()
			for b.Loop() {
				frames, _, err := splitRecord(bench.plaintext, Client)
				if err != nil {
					b.Fatal(err)
				}
				for {
					f, ok := frames.Next()
					if !ok {
						break
					}
					if f.Type == TypeRelay {
						if _, ok := ParseRelay(f.Body); !ok {
							b.Fatal("malformed")
						}
					}
				}
			}
		})
	}
}

func BenchmarkPasswordChangeServer(b *testing.B) {
	w := newWorld(b)
	c, s := w.sessions(b, "alice")
	salt := w.config.Directory.Salt(s.Name)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		client := NewPasswordClient(c)
		begin := bodyOf(b, client.Begin(nil))
		b.StartTimer()
		server, frame, err := AnswerPasswordBegin(nil, w.config.Directory, s, begin)
		b.StopTimer()
		if err != nil {
			b.Fatal(err)
		}
		set, err := client.Set(nil, bodyOf(b, frame), derive(passwordOf("alice"), salt), derive(newPassword, salt))
		if err != nil {
			b.Fatal(err)
		}
		set = bodyOf(b, set)
		b.StartTimer()
		if _, _, err := server.Set(set); err != nil {
			b.Fatal(err)
		}
	}
}

// What comes into a session and goes out of it allocates nothing: a record is opened where it lies, and its frames stay there.
func TestSessionAllocations(t *testing.T) {
	w := newWorld(t)
	client, server := w.sessions(t, "alice")
	relay := AppendRelay(nil, Relay{1, Name{'b'}, Tag{1}, make([]byte, 340)})
	frames, wire := bytes.Repeat(relay, 32), make([]byte, 0, RecordHeaderSize+MaxRecord)
	n := testing.AllocsPerRun(100, func() {
		opened, err := server.Receive.Open(client.Send.Seal(wire, frames, w.now)[RecordHeaderSize:])
		if err != nil {
			t.Fatal(err)
		}
		for f, ok := opened.Next(); ok; f, ok = opened.Next() {
			if _, ok := ParseRelay(f.Body); !ok {
				t.Fatal("malformed")
			}
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
