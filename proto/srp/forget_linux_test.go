package srp

import (
	"runtime"
	"testing"

	"sim/internal/memwalk"
)

// The exponents, the verifier and S are gone after Finish, and without it after Clear. What bigmod has worked with stays until its memory is
// used again.
func TestForgetting(t *testing.T) {
	for name, finish := range map[string]bool{"finished": true, "given up": false} {
		t.Run(name, func(t *testing.T) {
			n := memwalk.New(t)
			var c *ClientStart
			var s *ServerStart
			memwalk.Apart(func() {
				salt, secret := new([32]byte), new([32]byte)
				random(salt[:])
				random(secret[:])
				n.Note("T", secret[:])
				x := group2048.x("alice", salt[:], secret[:])
				n.Note("x", x)
				clear(x)
				v := Verifier("alice", salt, secret)
				n.Note("the verifier", v[:])
				c = Begin()
				var err error
				if s, err = Answer(v, c.A()); err != nil {
					t.Error(err)
					return
				}
				clear(v[:])
				n.Note("a", c.a)
				n.Note("b", s.b)
				if !finish {
					clear(secret[:])
					c.Clear()
					s.Clear()
					return
				}
				S, err := c.Finish("alice", salt, secret, s.B())
				if err != nil {
					t.Error(err)
					return
				}
				n.Note("S", S[:])
				clear(S[:])
				if S, err = s.Finish(); err != nil {
					t.Error(err)
					return
				}
				clear(S[:])
				clear(secret[:])
			})
			n.Forgotten(t)
			runtime.KeepAlive(c)
			runtime.KeepAlive(s)
			if _, err := c.Finish("alice", new([32]byte), new([32]byte), new([Size]byte)); err != ErrUsed {
				t.Error(err)
			}
			if _, err := s.Finish(); err != ErrUsed {
				t.Error(err)
			}
		})
	}
}
