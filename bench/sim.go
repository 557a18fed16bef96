package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"sim/password"
	"sim/proto"
	"sim/proto/e2e"
	"sim/proto/srp"
	"sim/proto/ticket"
	simserver "sim/server"
	"sim/store"
)

const (
	thePassword = "copper-anvil-62-violet" // everybody's
	busyBuffer  = 2 * proto.MaxRecord      // of an end that reads
	seenFrames  = 16                       // frames received, after which a Seen is due
	seenRoom    = 90                       // texts that a server has room for until they were seen, with some to spare
	easyPuzzle  = 4                        // bits
	spareConns  = 64                       // of the server, beyond two for each end: a resumed session has two for a moment
	sealedTexts = 1024                     // of a sender whose texts are sealed beforehand, at the most
	sealedBytes = sealedTexts * textSize   // of these texts
)

// cheapArgon are the parameters of the database: quick doesn't use them.
var cheapArgon = password.Params{Time: 1, Memory: 1 << 16, Threads: 1}

// A simServer is sim's own binary.
type simServer struct {
	run     *process
	address proto.Address
	deriver password.Deriver
	sealed  bool // texts are sealed before they are measured, and not opened
	seen    bool

	busy, idlers flock // sessions in pairs, and those that only stay
	quit         chan struct{}
}

func startSim(o *options, dir string, ends int) (server, error) {
	return startSimServer(o, dir, ends, cheapArgon, quick{})
}

func startSealedSim(o *options, dir string, ends int) (server, error) {
	s, err := startSimServer(o, dir, ends, cheapArgon, quick{})
	if err != nil {
		return nil, err
	}
	s.sealed = true
	return s, nil
}

func startSeenSim(o *options, dir string, ends int) (server, error) {
	s, err := startSimServer(o, dir, ends, cheapArgon, quick{})
	if err != nil {
		return nil, err
	}
	s.seen = true
	return s, nil
}

func startSimServer(o *options, dir string, people int, params password.Params, deriver password.Deriver) (*simServer, error) {
	home, err := os.MkdirTemp(dir, "sim-")
	if err != nil {
		return nil, err
	}
	db := filepath.Join(home, "sim.db")
	if err := register(db, people, params, deriver); err != nil {
		return nil, err
	}
	run, err := o.startBinary(dir, db, 2*people+spareConns)
	if err != nil {
		return nil, err
	}
	s := &simServer{run: run, deriver: deriver, quit: make(chan struct{})}
	if s.address, err = proto.ParseAddress(run.first); err != nil {
		run.stop()
		return nil, err
	}
	go s.keepAlive()
	return s, nil
}

// startBinary starts the server's process, which takes so many connections, if it may open as many files.
func (o *options) startBinary(dir, db string, conns int) (*process, error) {
	if o.easy {
		return startRole("sim", db, strconv.Itoa(conns))
	}
	if o.sim == "" {
		o.sim = filepath.Join(dir, "sim")
		build := exec.Command("go", "build", "-C", "..", "-o", o.sim, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build sim (run this in the folder bench, or name a binary with -sim): %w\n%s", err, out)
		}
	}
	return startProcess(o.sim, "server", "--db", db, "--listen", "127.0.0.1:0", "--log-level", "error", "--max-conns", strconv.Itoa(conns))
}

// serveEasySim serves as the binary does, but for the puzzle.
func serveEasySim(db string, conns int) error {
	st, err := store.Open(db, store.Options{Existing: true})
	if err != nil {
		return err
	}
	defer st.Close()
	s, err := simserver.New(simserver.Config{
		Listen: "127.0.0.1:0", Admin: simserver.AdminPath(db), Store: st, MaxConns: conns, PuzzleBits: easyPuzzle, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return err
	}
	fmt.Println(s.Addresses()[0])
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return s.Serve(ctx)
}

// register makes a database of people.
func register(path string, people int, params password.Params, deriver password.Deriver) error {
	st, err := store.Open(path, store.Options{ArgonTime: params.Time, ArgonMemory: params.Memory, ArgonThreads: params.Threads})
	if err != nil {
		return err
	}
	directory := simserver.NewDirectory(st)
	err = crowd(people, func(n int) error {
		name := nameOf(n)
		salt := directory.Salt(name)
		secret, err := deriver.Derive([]byte(thePassword), &salt, params)
		if err != nil {
			return err
		}
		return st.Add(name.String(), store.Account{Verifier: *srp.Verifier(name.String(), &salt, secret)}, store.OnFile())
	})
	return errors.Join(err, st.Close())
}

func nameOf(n int) proto.Name {
	name, err := proto.ParseName(fmt.Sprintf("user%d", n))
	if err != nil {
		panic(err)
	}
	return name
}

func (s *simServer) process() *process { return s.run }

func (s *simServer) stop() {
	close(s.quit)
	s.run.stop()
}

// enter logs user n in. The end reads with a buffer of that size.
func (s *simServer) enter(n, buffer int) (*simEnd, error) {
	socket, err := dialer(n).Dial("tcp", s.address.Host)
	if err != nil {
		return nil, err
	}
	session, _, err := logIn(socket, s.address, nameOf(n), s.deriver)
	if err != nil {
		socket.Close()
		return nil, fmt.Errorf("log in: %w", err)
	}
	e := &simEnd{socket: socket, in: bufio.NewReaderSize(socket, buffer), session: session, sealed: s.sealed, seen: s.seen}
	first := proto.AppendPing(nil, [8]byte{})
	if e.seen {
		e.resumption = proto.NewResumption(session)
		first = proto.AppendSeen(first, 0)
	}
	if err := e.write(first); err != nil {
		return nil, err
	}
	if _, err := e.await(proto.TypePong); err != nil { // from then on the server lists the session
		return nil, err
	}
	return e, nil
}

func (s *simServer) pair(n int) (from, to end, err error) {
	a, err := s.enter(2*n, busyBuffer)
	if err != nil {
		return nil, nil, err
	}
	b, err := s.enter(2*n+1, busyBuffer)
	if err != nil {
		return nil, nil, err
	}
	s.busy.add(a)
	s.busy.add(b)
	if s.seen {
		b.grants, a.granted = true, make(chan int, seenRoom)
	}
	if err := converse(a, b); err != nil {
		return nil, nil, fmt.Errorf("open a conversation: %w", err)
	}
	if s.sealed {
		if err := a.sealBeforehand(theText); err != nil {
			return nil, nil, err
		}
	}
	return a, b, nil
}

// sealBeforehand makes the texts that are sent from then on, each several times.
func (e *simEnd) sealBeforehand(text []byte) error {
	e.ready = nil
	for range min(sealedTexts, max(1, sealedBytes/len(text))) {
		_, message, err := e.talk.Seal(e2e.KindText, text)
		if err != nil {
			return err
		}
		e.ready = append(e.ready, message)
	}
	return nil
}

var theText = bytes.Repeat([]byte("t"), textSize)

// A simEnd is a session. One goroutine sends, one receives.
type simEnd struct {
	socket  net.Conn
	session *proto.Session
	peer    proto.Name
	tag     proto.Tag // of the peer's session
	talk    *e2e.Conversation
	sealed  bool
	seen    bool
	failed  atomic.Pointer[error] // what drain met
	grants  bool                  // it receives, and tells the sender what it told the server to have seen
	granted chan int              // to the sender: texts that were seen

	resumption *proto.Resumption // of a session that can be resumed

	mu  sync.Mutex // guards what follows, and session.Send
	out []byte     // sealed records

	// owned by the sender
	frames  []byte
	sizes   []int    // of frames
	unseen  int      // texts sent, and not known to be seen
	ready   [][]byte // texts that are sealed already
	nextOne int

	// owned by the receiver
	in     *bufio.Reader
	record []byte
	number uint64 // of numbered frames received
	told   uint64

	pinged bool // owned by keepAlive: a Pong has to come
}

func (e *simEnd) close() { e.socket.Close() }

// write sends frames that fit in a record.
func (e *simEnd) write(frames []byte) error { return e.writeAll(frames, []int{len(frames)}) }

// writeAll seals frames of these sizes into as few records as hold them, and writes once.
func (e *simEnd) writeAll(frames []byte, sizes []int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.out = e.out[:0]
	now := time.Now()
	start, n := 0, 0
	for _, size := range sizes {
		if n+size > proto.MaxFrames {
			e.out = e.session.Send.Seal(e.out, frames[start:start+n], now)
			start, n = start+n, 0
		}
		n += size
	}
	e.out = e.session.Send.Seal(e.out, frames[start:start+n], now)
	_, err := e.socket.Write(e.out)
	return err
}

func (e *simEnd) send(texts int) error {
	if err := e.failed.Load(); err != nil {
		return *err
	}
	if err := e.awaitRoom(texts); err != nil {
		return err
	}
	e.frames, e.sizes = e.frames[:0], e.sizes[:0]
	for range texts {
		message, err := e.message()
		if err != nil {
			return err
		}
		before := len(e.frames)
		e.frames = proto.AppendRelay(e.frames, proto.Relay{To: e.peer, Tag: e.tag, Message: message})
		e.sizes = append(e.sizes, len(e.frames)-before)
	}
	return e.writeAll(e.frames, e.sizes)
}

func (e *simEnd) message() ([]byte, error) {
	if e.sealed {
		e.nextOne = (e.nextOne + 1) % len(e.ready)
		return e.ready[e.nextOne], nil
	}
	_, message, err := e.talk.Seal(e2e.KindText, theText)
	return message, err
}

// receive returns the texts of one record or more. Whatever says that a text came to nothing is an error: nothing is lost unnoticed.
func (e *simEnd) receive() (texts int, err error) {
	for texts == 0 {
		frames, err := e.open()
		if err != nil {
			return 0, err
		}
		for f, ok := frames.Next(); ok; f, ok = frames.Next() {
			isText, err := e.handle(f)
			if err != nil {
				return 0, err
			}
			if isText {
				texts++
			}
		}
	}
	return texts, nil
}

// handle takes one frame, and says whether it is a text.
func (e *simEnd) handle(f proto.Frame) (isText bool, err error) {
	switch f.Type {
	case proto.TypePong, proto.TypeSeen:
		return false, nil
	case proto.TypeRelayed:
	default:
		return false, unexpected(f.Type)
	}
	r, ok := proto.ParseRelayed(f.Body)
	if !ok || r.From != e.peer {
		return false, errors.New("a Relayed that is malformed, or not the peer's")
	}
	if e.sealed {
		return true, nil
	}
	got, err := e.talk.Open(r.Message)
	if err != nil || !bytes.Equal(got.Text, theText) {
		return false, fmt.Errorf("another text than was sent: %w", err)
	}
	e.talk.HandedOut(got.Number)
	return true, nil
}

func unexpected(t proto.Type) error {
	return fmt.Errorf("the server sent %v: a smaller -window may help", t)
}

// open reads and opens one record.
func (e *simEnd) open() (proto.Frames, error) {
	var head [proto.RecordHeaderSize]byte
	if _, err := io.ReadFull(e.in, head[:]); err != nil {
		return proto.Frames{}, err
	}
	n := int(binary.BigEndian.Uint16(head[:]))
	if !proto.ValidRecord(n) {
		return proto.Frames{}, errors.New("no record of the server's")
	}
	e.record = slices.Grow(e.record[:0], n)[:n]
	if _, err := io.ReadFull(e.in, e.record); err != nil {
		return proto.Frames{}, err
	}
	frames, err := e.session.Receive.Open(e.record)
	if err != nil || !e.seen {
		return frames, err
	}
	return frames, e.count(frames)
}

// count counts the numbered frames of a record, and tells the server of them when that is due. Whom it grants hears of it behind that.
func (e *simEnd) count(frames proto.Frames) error {
	for f, ok := frames.Next(); ok; f, ok = frames.Next() {
		if f.Type.Numbered() {
			e.number++
		}
	}
	if e.number-e.told < seenFrames {
		return nil
	}
	tell := proto.AppendSeen(nil, e.number)
	if e.grants {
		grant := binary.BigEndian.AppendUint64(nil, e.number-e.told)
		tell = proto.AppendRelay(tell, proto.Relay{To: e.peer, Tag: e.tag, Message: grant})
	}
	e.told = e.number
	return e.write(tell)
}

// await reads until a frame of a type comes.
func (e *simEnd) await(want proto.Type) (proto.Frame, error) {
	for {
		frames, err := e.open()
		if err != nil {
			return proto.Frame{}, err
		}
		for f, ok := frames.Next(); ok; f, ok = frames.Next() {
			switch f.Type {
			case want:
				return f, nil
			case proto.TypePong, proto.TypeSeen:
			default:
				return proto.Frame{}, fmt.Errorf("%v in place of %v", f.Type, want)
			}
		}
	}
}

// drain reads what the server has to say to a sender, which is what its peer grants, where sessions can be resumed.
func (e *simEnd) drain() {
	err := error(nil)
	for err == nil {
		var frames proto.Frames
		frames, err = e.open()
		for f, ok := frames.Next(); ok && err == nil; f, ok = frames.Next() {
			err = e.take(f)
		}
	}
	e.failed.CompareAndSwap(nil, &err)
}

// take takes a frame that is for a sender.
func (e *simEnd) take(f proto.Frame) error {
	switch f.Type {
	case proto.TypePong, proto.TypeSeen:
		return nil
	case proto.TypeRelayed:
		if r, ok := proto.ParseRelayed(f.Body); ok && e.granted != nil && len(r.Message) == 8 {
			e.granted <- int(binary.BigEndian.Uint64(r.Message))
			return nil
		}
		return errors.New("a text came to its sender")
	}
	return unexpected(f.Type)
}

// awaitRoom waits until the server has room for texts that it keeps until they were seen. That others have come says nothing of it: the
// receiver's Seen may be on its way.
func (e *simEnd) awaitRoom(texts int) error {
	for e.granted != nil && e.unseen+texts > seenRoom {
		select {
		case n := <-e.granted:
			e.unseen -= n
		case <-time.After(drainWait):
			return errLost
		}
	}
	e.unseen += texts
	return nil
}

// converse opens a conversation between two sessions, through the server: docs/PROTOCOL.md, section 7.
func converse(a, b *simEnd) error {
	a.peer, b.peer = b.session.Name, a.session.Name
	initiator, message, err := e2e.Start(ticket.Name(a.session.Name), ticket.Name(b.session.Name), e2e.Versions)
	if err != nil {
		return err
	}
	if message, err = a.hand(b, message); err != nil {
		return err
	}
	responder, message, err := e2e.Answer(ticket.Name(b.session.Name), ticket.Name(a.session.Name), message, e2e.Versions, &b.session.Tickets.Nonce)
	if err != nil {
		return err
	}
	if message, err = b.hand(a, message); err != nil {
		return err
	}
	intro, err := initiator.Nonce(message)
	if err != nil {
		return err
	}
	if err := a.write(proto.AppendIntro(nil, intro)); err != nil {
		return err
	}
	f, err := a.await(proto.TypeTicket)
	if err != nil {
		return err
	}
	issued, ok := proto.ParseTicket(f.Body)
	if !ok || issued.Status != proto.TicketIssued {
		return fmt.Errorf("no ticket: status %d", issued.Status)
	}
	if message, err = initiator.Ticket(issued.Box, &a.session.Tickets.Intro); err != nil {
		return err
	}
	if message, err = a.hand(b, message); err != nil {
		return err
	}
	if message, err = responder.Offer(message, ticket.Name(a.session.Name), &b.session.Tickets.Ticket); err != nil {
		return err
	}
	if message, err = b.hand(a, message); err != nil {
		return err
	}
	if message, a.talk, err = initiator.Accept(message); err != nil {
		return err
	}
	if message, err = a.hand(b, message); err != nil {
		return err
	}
	b.talk, err = responder.Confirm(message)
	go a.drain()
	return err
}

// hand sends a peer message to the other end, and returns what came there.
func (e *simEnd) hand(to *simEnd, message []byte) ([]byte, error) {
	if err := e.write(proto.AppendRelay(nil, proto.Relay{To: e.peer, Tag: e.tag, Message: message})); err != nil {
		return nil, err
	}
	f, err := to.await(proto.TypeRelayed)
	if err != nil {
		return nil, err
	}
	r, ok := proto.ParseRelayed(f.Body)
	if !ok {
		return nil, errors.New("a malformed Relayed")
	}
	to.tag = r.Tag
	return r.Message, nil
}
