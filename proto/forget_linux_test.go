package proto

import (
	"bytes"
	"crypto/rand"
	"runtime"
	"testing"

	"sim/internal/memwalk"
	"sim/proto/box"
)

// What a login had is gone when it has ended: the key of its boxes, SRP's secret, the keys of M1 and M2.
func TestLoginIsForgotten(t *testing.T) {
	w := newWorld(t)
	n := memwalk.New(t)
	var c *LoginClient
	var s *LoginServer
	memwalk.Apart(func() {
		c, s = w.client(t, "alice"), NewLoginServer(w.config, w.now)
		e := c.e.Bytes()
		n.Note("e_C's scalar", e)
		clear(e)
		o := w.handshake(t, c, s, passwordOf("alice"), func(at int, body []byte) []byte {
			switch at {
			case atProof:
				n.Note("the boxes' key", c.key[:])
			case atWelcome:
				n.Note("SRP's secret", c.s[:])
				for _, label := range []string{"sim/1 M1", "sim/1 M2"} {
					key := c.sym.Final(label, c.s[:])
					n.Note("the key of "+label, key[:])
					clear(key[:])
				}
			}
			return body
		})
		if !o.bothIn(t) {
			t.Error(o.clientErr, o.serverErr)
		}
	})
	n.Forgotten(t, "e_C's scalar", "SRP's secret", "the boxes' key", "the key of sim/1 M1", "the key of sim/1 M2")
	runtime.KeepAlive(c)
	runtime.KeepAlive(s)
}

// The keys that come of S_A, after the end of the session. HKDF has made them all: what it has left of them goes with its memory.
func TestSessionIsForgotten(t *testing.T) {
	n := memwalk.New(t)
	labels := []string{"sim/1 record client", "sim/1 record server", "sim/1 nonce", "sim/1 intro", "sim/1 ticket", "sim/1 resumption"}
	var client, server *Session
	memwalk.Apart(func() {
		secret, again, h6 := new([32]byte), new([32]byte), [32]byte{6}
		rand.Read(secret[:])
		*again = *secret
		n.Note("S_A", secret[:])
		for _, label := range labels {
			key := box.Expand(secret, label, h6[:])
			n.Note(label, key[:])
			clear(key[:])
		}
		client = newSession(Name{'a'}, [16]byte{}, secret, h6, Client, start)
		server = newSession(Name{'a'}, [16]byte{}, again, h6, Server, start)
		now := start
		for range 3 {
			if _, err := open(server.Receive, client.Send.Seal(nil, AppendPing(nil, [8]byte{1}), now)); err != nil {
				t.Error(err)
			}
			now = now.Add(RekeyEvery)
		}
		for _, s := range []*Session{client, server} {
			s.Send.Clear()
			s.Receive.Clear()
			s.Clear()
		}
	})
	n.Forgotten(t, append(labels, "S_A")...)
	runtime.KeepAlive(client)
	runtime.KeepAlive(server)
}

// An epoch's private keys are the standard library's: dropped with the last login that holds them, and gone when the memory is used again.
func TestEpochIsForgotten(t *testing.T) {
	w := newWorld(t)
	n := memwalk.New(t)
	var waiting *LoginServer
	memwalk.Apart(func() {
		w.epoch, _ = NewEpoch()
		x, kem := w.epoch.x25519.Bytes(), w.epoch.kem.Bytes()
		n.Note("X25519", x)
		n.Note("ML-KEM", kem)
		clear(x)
		clear(kem)
		waiting = w.stage(t, w.config, atLogin).server
		w.sessions(t, "alice")
		w.epoch, _ = NewEpoch()
	})
	n.Alive(t) // somebody's login began in it
	waiting.Clear()
	n.Forgotten(t, "X25519", "ML-KEM")
	runtime.KeepAlive(waiting)
}

// A password's change: T of both, the secret, the verifier.
func TestChangeOfPasswordIsForgotten(t *testing.T) {
	w := newWorld(t)
	n := memwalk.New(t)
	var c *PasswordClient
	memwalk.Apart(func() {
		client, server := w.sessions(t, "alice")
		c = NewPasswordClient(client)
		begin := c.Begin(nil)
		s, salt, err := AnswerPasswordBegin(nil, w.config.Directory, server, begin[FrameHeaderSize:])
		if err != nil {
			t.Error(err)
			return
		}
		salted, _ := ParsePasswordSalt(salt[FrameHeaderSize:])
		old, fresh := derive(passwordOf("alice"), salted), derive("another one", salted)
		set, err := c.Set(nil, salt[FrameHeaderSize:], old, fresh)
		if err != nil {
			t.Error(err)
			return
		}
		verifier, _, err := s.Set(bytes.Clone(set[FrameHeaderSize:]))
		if err != nil {
			t.Error(err)
			return
		}
		n.Note("the new verifier", verifier[:])
		clear(verifier[:])
	})
	n.Forgotten(t)
	runtime.KeepAlive(c)
}
