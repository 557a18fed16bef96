package server

import "net"

// A socket is how a link reads and writes without a goroutine or a buffer of its own while there is nothing to do.
type socket interface {
	// read waits for bytes and reads them. While it waits, an empty intake holds no memory.
	read(in *intake) error

	// tryWrite writes what the connection takes at once. Whatever hinders it, net.Conn's Write will tell.
	tryWrite(b []byte) (n int, err error)
}

// A plainSocket does with net.Conn alone. Writes that do not wait it has none, so others are started for all.
type plainSocket struct {
	conn  net.Conn
	small [readBuffer]byte
}

func (s *plainSocket) read(in *intake) error {
	in.rest()
	if !in.empty() {
		n, err := s.conn.Read(in.room())
		in.put(n)
		return readError(n, err)
	}
	n, err := s.conn.Read(s.small[:])
	if n > 0 {
		in.put(copy(in.room(), s.small[:n]))
	}
	return readError(n, err)
}

// readError is the error of a Read if nothing was read: what was comes first.
func readError(n int, err error) error {
	if n > 0 {
		return nil
	}
	return err
}

func (s *plainSocket) tryWrite([]byte) (int, error) { return 0, nil }
