package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sim/proto"
	"sim/store"
)

// restored is what a backup holds.
func restored(t *testing.T, content []byte) *store.Store {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored.db")
	if _, err := store.Restore(path, bytes.NewReader(content), false, time.Now(), store.OnFile()); err != nil {
		t.Fatal(err)
	}
	st, err := store.Open(path, store.Options{Existing: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

func TestUpkeepOfARunningServer(t *testing.T) {
	w, path := newAdminWorld(t, "alice", "bob")
	upkeep, err := OpenUpkeep("unused.db", path, never)
	if err != nil {
		t.Fatal(err)
	}
	if !upkeep.Live() {
		t.Error("not live")
	}
	alice := w.enter("alice")

	var b bytes.Buffer
	if err := upkeep.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	st := restored(t, b.Bytes())
	if st.Identity() != w.store.Identity() {
		t.Error("another identity")
	}
	if page, err := st.List("", 10); err != nil || len(page) != 2 {
		t.Errorf("%v, %v", page, err)
	}

	health, err := upkeep.Check()
	if err != nil || health.Accounts != 2 || health.Entries != 3 || health.ArgonTime != 2 || health.Newest.IsZero() {
		t.Errorf("%+v, %v", health, err)
	}
	where, err := upkeep.Where()
	if err != nil || where.Key != w.server.key || where.Listen == "" || len(where.Addresses) == 0 {
		t.Errorf("%+v, %v", where, err)
	}
	if a, err := proto.ParseAddress(where.Addresses[0]); err != nil || a.Key != where.Key {
		t.Errorf("%v, %v", a, err)
	}
	entries, err := w.store.Audit(0, 10)
	if last := entries[len(entries)-1]; err != nil || last.Act != store.BackedUp || !strings.Contains(string(last.Actor), "via socket") {
		t.Errorf("%+v, %v", last, err)
	}
	alice.logout() // all of it was no concern of hers
}

func TestUpkeepOfAFile(t *testing.T) {
	st := newStore(t, "alice")
	upkeep := Upkeep(&localAccounts{store: st, directory: NewDirectory(st), by: store.OnFile()})
	var b bytes.Buffer
	if err := upkeep.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	restored(t, b.Bytes())
	where, err := upkeep.Where()
	if err != nil || where.Key == [32]byte{} || where.Listen != "" || len(where.Addresses) != 0 || upkeep.Live() {
		t.Errorf("%+v, %v", where, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := upkeep.Backup(ctx, &b); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// failingUpkeep fails in the middle of a backup.
type failingUpkeep struct{ Upkeep }

func (failingUpkeep) Backup(_ context.Context, w io.Writer) error {
	w.Write(make([]byte, 3*maxChunk+5))
	return errors.Join(store.ErrNotSaved, errors.New("there is no room"))
}

// streamOf is what a call's stream sends.
func streamOf(t *testing.T, upkeep Upkeep, stopped bool) []byte {
	t.Helper()
	near, far := net.Pipe()
	call := &adminCall{upkeep: upkeep, stopped: func() bool { return stopped }}
	if answer := call.answer([]byte{adminVersion, adminBackup}); answer[0] != adminDone || call.stream == nil {
		t.Fatalf("answered %d", answer)
	}
	go func() {
		call.stream(near)
		near.Close()
	}()
	sent, err := io.ReadAll(far)
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

// fakeAdmin answers one connection at a socket, whose path it returns.
func fakeAdmin(t *testing.T, answer func(net.Conn)) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sim") // a test's own directory may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "admin.sock")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		if c, err := listener.Accept(); err == nil {
			answer(c)
			c.Close()
		}
	}()
	return path
}

// receive reads what a server sends after its answer to a request for a backup.
func receive(t *testing.T, sent []byte) ([]byte, error) {
	t.Helper()
	path := fakeAdmin(t, func(c net.Conn) {
		readAdmin(c, maxAdminRequest)
		writeAdmin(c, []byte{adminDone})
		c.Write(sent)
	})
	var b bytes.Buffer
	err := (&socketAccounts{path}).Backup(t.Context(), &b)
	return b.Bytes(), err
}

// A stream that was cut anywhere, changed anywhere, or ended by an error is no backup.
func TestBackupStreams(t *testing.T) {
	if !adminSupported {
		t.Skip("no admin socket here")
	}
	st := newStore(t, "alice")
	sent := streamOf(t, &localAccounts{store: st, by: store.OnFile()}, false)
	content, err := receive(t, sent)
	if err != nil {
		t.Fatal(err)
	}
	restored(t, content)

	for _, at := range []int{0, 1, 2, 100, maxChunk, maxChunk + 2, len(sent) - 37, len(sent) - 35, len(sent) - 33, len(sent) - 1} {
		if _, err := receive(t, sent[:at]); err == nil || !strings.Contains(err.Error(), "cut short") {
			t.Errorf("cut to %d of %d: %v", at, len(sent), err)
		}
	}
	for _, at := range []int{2, 100, len(sent) - 40, len(sent) - 1} {
		changed := bytes.Clone(sent)
		changed[at] ^= 1
		if _, err := receive(t, changed); err == nil {
			t.Errorf("changed at %d of %d", at, len(sent))
		}
	}
	if _, err := receive(t, binary.BigEndian.AppendUint16(nil, maxChunk+1)); err == nil {
		t.Error("a chunk that is too long")
	}
	if _, err := receive(t, streamOf(t, failingUpkeep{}, false)); !errors.Is(err, store.ErrNotSaved) || !strings.Contains(err.Error(), "no room") {
		t.Errorf("a failure in the middle: %v", err)
	}
	if _, err := receive(t, streamOf(t, &localAccounts{store: st, by: store.OnFile()}, true)); err == nil || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("a server that stops: %v", err)
	}
}
