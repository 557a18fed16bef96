package proto

import (
	"bytes"
	"crypto/rand"
	"testing"

	"sim/proto/record"
)

func draw(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func (w *world) refClient(name, password string) *refClient {
	return &refClient{
		PK: w.public[:], Random: draw(32), EC: draw(32), M: draw(32), A: draw(32), Salts: [2][]byte{draw(32), draw(32)}, Name: name,
		Secret: func(salt []byte) []byte { return derive(password, [32]byte(salt))[:] },
	}
}

// refServer is a server with w's key.
func (w *world) refServer() *refServer {
	d := w.config.Directory
	return &refServer{
		Key: w.config.Key.Bytes(), ES: draw(32), KEM: draw(64), B: draw(32), ID: draw(16),
		Puzzle: cat(draw(32), []byte{16, testBits}), Account: cat(draw(32), []byte{16, 0}),
		Salts: [2][]byte{draw(32), draw(32)}, Argon2: d.Argon2.append(nil), Salt: saltOf(d, "alice"),
		Verifier: func(name string) []byte {
			var n Name
			copy(n[:], name)
			v := w.verifiers[n]
			return v[:]
		},
	}
}

func saltOf(d *Directory, name string) []byte { return refHMAC(d.SaltSecret[:], refName(name)) }

// isReference says whether a session is what the page says.
func isReference(t *testing.T, s *Session, ref *refKeys, side Side) {
	t.Helper()
	if s == nil || ref == nil {
		t.Fatal("no session")
	}
	for _, field := range []struct {
		name      string
		got, want []byte
	}{
		{"session id", s.ID[:], ref.ID}, {"h6", s.Transcript[:], ref.H6}, {"nonce key", s.Tickets.Nonce[:], ref.Nonce}, {"intro key", s.Tickets.Intro[:], ref.Intro},
		{"ticket key", s.Tickets.Ticket[:], ref.Ticket}, {"resumption", s.Resumption[:], ref.Resumption},
	} {
		if !bytes.Equal(field.got, field.want) {
			t.Errorf("%s: %x, want %x", field.name, field.got, field.want)
		}
	}
	client, server := record.NewSealer([32]byte(ref.Client)), record.NewSealer([32]byte(ref.Server))
	send, receive, frame := client, server, AppendClose(nil, CloseDone)
	if side == Server {
		send, receive = server, client
	}
	if !bytes.Equal(s.Send.Seal(nil, frame, s.Send.since), send.Seal(nil, frame)) {
		t.Error("the key to send with is another")
	}
	if _, err := open(s.Receive, receive.Seal(nil, frame)); err != nil {
		t.Error("the key to receive with is another")
	}
}

// Somebody else's client, made from the page alone, logs in.
func TestClientMadeFromThePageLogsIn(t *testing.T) {
	w := newWorld(t)
	w.config.AccountPuzzleBits = 6
	for _, password := range []string{passwordOf("alice"), "wrong"} {
		c, s := w.refClient("alice", password), NewLoginServer(w.config, w.now)
		out, _, err := s.Handle(w.now, c.Hello())
		if err != nil {
			t.Fatal(err)
		}
		solution, login := c.Login(body(t, out))
		if _, _, err = s.Handle(w.now, solution); err != nil {
			t.Fatal(err)
		}
		if out, _, err = s.Handle(w.now, login); err != nil {
			t.Fatal(err)
		}
		proof, err := c.Proof(body(t, out))
		if err != nil {
			t.Fatal(err)
		}
		out, session, err := s.Handle(w.now, proof)
		if password == "wrong" {
			if plain, err := refOpen(c.k, "sim/1 box welcome", 1, c.h5, body(t, out)[1:]); err != nil || !bytes.Equal(plain, make([]byte, 49)) {
				t.Errorf("the refusal is %x, %v", plain, err)
			}
			if err != ErrRefused || session != nil {
				t.Error(err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		ref, err := c.Welcome(body(t, out))
		if err != nil {
			t.Fatal(err)
		}
		isReference(t, session, ref, Server)
	}
}

// Somebody else's server, made from the page alone, is logged in to.
func TestServerMadeFromThePageIsLoggedInTo(t *testing.T) {
	w := newWorld(t)
	s := w.refServer()
	s.Account[33] = 6
	session, ref, err := w.meet(t, s, passwordOf("alice"))
	if err != nil {
		t.Fatal(err)
	}
	isReference(t, session, ref, Client)

	if _, _, err = w.meet(t, w.refServer(), "wrong"); err != ErrRefused {
		t.Fatal(err)
	}
}

// meet runs alice's login with a server made from the page, which mallory may have bent, until she gives up.
func (w *world) meet(t *testing.T, s *refServer, password string) (*Session, *refKeys, error) {
	t.Helper()
	c := w.client(t, "alice")
	wire, err := c.Hello(w.now)
	if err != nil {
		t.Fatal(err)
	}
	task, err := c.Challenge(s.Challenge(body(t, wire)))
	if err != nil {
		return nil, nil, err
	}
	if wire, err = c.Login(w.now, solve(t, task)); err != nil {
		t.Fatal(err)
	}
	third := bodies(t, wire)
	salt, err := s.Answer(third[0], third[1])
	if err != nil {
		t.Fatal(err)
	}
	if task, err = c.Salt(salt); err != nil {
		return nil, nil, err
	}
	if wire, err = c.Proof(w.now, solve(t, task), derive(password, task.Salt)); err != nil {
		return nil, nil, err
	}
	welcome, ref, err := s.Welcome(body(t, wire))
	if err != nil {
		t.Fatal(err)
	}
	session, err := c.Welcome(w.now, welcome)
	return session, ref, err
}
