// Package server is the relay that people log in to.
package server

import (
	"context"
	"errors"
	"log/slog"

	"sim/proto"
	"sim/store"
)

// Config is what a server is made with.
type Config struct {
	Store      *store.Store // open; the caller closes it after Serve
	Listen     string       // HOST:PORT to listen on; the host may be empty
	Public     string       // HOST:PORT that clients are told to use, or ""
	Admin      string       // path of the admin socket, or "" for none
	MaxConns   int          // connections in all; 0 for the default
	PuzzleBits uint8        // of the login's puzzle; 0 for the default, 18
	Log        *slog.Logger // nil for none
}

// Server is a relay.
type Server struct{}

var errStub = errors.New("server: not written yet")

// New listens.
func New(cfg Config) (*Server, error) { return nil, errStub }

// Addresses returns what to print, one a line.
func (s *Server) Addresses() []proto.Address { return nil }

// Serve serves until ctx is done.
func (s *Server) Serve(ctx context.Context) error { return errStub }

// AdminPath returns the default path of a database's admin socket.
func AdminPath(db string) string { return db + ".sock" }

// Accounts is the administration of accounts, through a running server or on the database itself.
type Accounts interface {
	Salt(name proto.Name) (salt [32]byte, params proto.Argon2, taken bool, err error)
	Add(name proto.Name, verifier *[256]byte) error
	Close() error
}

// OpenAccounts tries the admin socket first, and opens the store where no server answers.
func OpenAccounts(db, admin string, open func() (*store.Store, error)) (Accounts, error) {
	return nil, errStub
}

// NewDirectory returns what the logins need to know of a store.
func NewDirectory(st *store.Store) *proto.Directory { return nil }
