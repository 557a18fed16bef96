package server

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"time"
)

// A backup on the admin socket, after the answer: chunks, u16 length ‖ bytes; a chunk of no bytes; and a message like an answer, whose
// results are the SHA-256 of all bytes. So a stream that was cut, and one whose server failed in the middle, are told from a whole one.

// backup is the operation; what can fail does so in the stream.
func (call *adminCall) backup([]byte) ([]byte, error) {
	call.stream = func(c net.Conn) error {
		w := &chunkWriter{conn: c, stopped: call.stopped, sum: sha256.New()}
		end := []byte{adminDone}
		if err := call.upkeep.Backup(context.Background(), w); err != nil {
			end = adminError(err)
		} else {
			end = w.sum.Sum(end)
		}
		c.SetWriteDeadline(time.Now().Add(adminChunkTime))
		if _, err := c.Write([]byte{0, 0}); err != nil {
			return err
		}
		return writeAdmin(c, end)
	}
	return nil, nil
}

// chunkWriter writes chunks, each in its time, until the server stops.
type chunkWriter struct {
	conn    net.Conn
	stopped func() bool
	sum     hash.Hash
}

var errStopping = errors.New("the server is stopping: make the backup again when it has ended or runs again")

func (w *chunkWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if w.stopped() {
			return n, errStopping
		}
		chunk := p[:min(len(p), maxChunk)]
		w.conn.SetWriteDeadline(time.Now().Add(adminChunkTime))
		if _, err := w.conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(chunk))), chunk...)); err != nil {
			return n, err
		}
		w.sum.Write(chunk)
		n += len(chunk)
		p = p[len(chunk):]
	}
	return n, nil
}

// Backup reads the chunks of a running server.
func (a *socketAccounts) Backup(ctx context.Context, to io.Writer) error {
	c, _, err := a.begin(adminBackup, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	lost := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the backup was cut short, and is none; perhaps the server at the admin socket %s stopped: try again: %w", a.path, err)
	}
	sum := sha256.New()
	chunk := make([]byte, maxChunk)
	defer clear(chunk)
	for {
		c.SetReadDeadline(time.Now().Add(adminCopyTime))
		var head [2]byte
		if _, err := io.ReadFull(c, head[:]); err != nil {
			return lost(err)
		}
		n := int(binary.BigEndian.Uint16(head[:]))
		if n == 0 {
			break
		}
		if n > maxChunk {
			return lost(errNotUnderstood)
		}
		if _, err := io.ReadFull(c, chunk[:n]); err != nil {
			return lost(err)
		}
		sum.Write(chunk[:n])
		if _, err := to.Write(chunk[:n]); err != nil {
			return err
		}
	}
	end, err := readAdmin(c, maxAdminAnswer)
	if err != nil {
		return lost(err)
	}
	want, err := adminResults(end)
	if err != nil {
		return err
	}
	if string(want) != string(sum.Sum(nil)) {
		return lost(errors.New("other bytes came than were sent"))
	}
	return nil
}
