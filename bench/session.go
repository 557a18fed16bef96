package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"sim/proto"
	"sim/proto/e2e"
	"sim/proto/ticket"
)

const (
	seenFrames  = 32                     // frames received, after which a Seen is due
	seenRoom    = 90                     // texts that a server has room for until they were seen, with some to spare
	sealedTexts = 1024                   // of a sender whose texts are sealed beforehand, at the most
	sealedBytes = sealedTexts * textSize // of these texts
)

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
	err := e.writeAll(e.frames, e.sizes)
	e.prepare()
	return err
}

// prepare does what can be done of the next text before it is there, as sim's client does.
func (e *simEnd) prepare() {
	if !e.sealed {
		e.talk.Prepare()
	}
}

func (e *simEnd) message() ([]byte, error) {
	if e.sealed {
		e.nextOne = (e.nextOne + 1) % len(e.ready)
		return e.ready[e.nextOne], nil
	}
	_, message, err := e.talk.Seal(e2e.KindText, theText)
	return message, err
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

// receive returns the texts of one record or more. Whatever says that a text came to nothing is an error: nothing is lost unnoticed.
func (e *simEnd) receive() (texts int, err error) {
	e.prepare() // the last one has been handed out
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

// tellAll tells the server that all was seen, and waits until it knows.
func (e *simEnd) tellAll() error {
	e.told = e.number
	if err := e.write(proto.AppendPing(proto.AppendSeen(nil, e.number), [8]byte{})); err != nil {
		return err
	}
	_, err := e.await(proto.TypePong)
	return err
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
