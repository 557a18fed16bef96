package server

import (
	"encoding/binary"

	"sim/proto"
)

// What both ends of a session have of each other's numbered frames, over all of its connections: docs/PROTOCOL.md, section 4.6.

// kept are the server's numbered frames that were sent, in order, until the client's Seen covers them. Nothing is kept of a session whose
// client doesn't want it.
type kept struct {
	wanted bool
	again  bool   // they have to be sent again: the connection is a new one
	bytes  []byte // whole frames; those before first were seen
	first  int
	seen   uint64 // the number of the last frame that was seen
	sent   uint64 // and of the last that was sent
}

// add keeps the numbered frames of what is about to be sent, and returns how many bytes are not kept.
func (k *kept) add(frames []byte) (passing int) {
	for len(frames) > 0 {
		frame := frames[:frameSize(frames)]
		frames = frames[len(frame):]
		if !proto.Type(frame[0]).Numbered() {
			passing += len(frame)
			continue
		}
		if len(k.bytes)+len(frame) > cap(k.bytes) && k.first > len(k.bytes)/2 {
			k.bytes = k.bytes[:copy(k.bytes, k.bytes[k.first:])]
			k.first = 0
		}
		k.bytes = append(k.bytes, frame...)
		k.sent++
	}
	return passing
}

// drop forgets the frames that a Seen covers, and returns their bytes. It is false for a number that goes back, or was not sent.
func (k *kept) drop(number uint64) (bytes int, ok bool) {
	if number < k.seen || number > k.sent {
		return 0, false
	}
	before := k.first
	for ; k.seen < number; k.seen++ {
		k.first += frameSize(k.bytes[k.first:])
	}
	bytes = k.first - before
	if k.first == len(k.bytes) {
		k.bytes, k.first = nil, 0
	}
	return bytes, true
}

// repeat returns a copy of what has to be sent again, once for each connection.
func (k *kept) repeat() []byte {
	if !k.again {
		return nil
	}
	k.again = false
	return append([]byte(nil), k.bytes[k.first:]...)
}

// handled are the client's numbered frames that were handled.
type handled struct {
	number uint64 // of the last
	told   uint64 // of the last that the client was told of
	bytes  int    // of those between
}

func (h *handled) add(size int) {
	h.number++
	h.bytes += size
}

// due says whether a Seen has to be sent for its own sake.
func (h *handled) due() bool { return h.number-h.told >= seenFrames || h.bytes >= seenBytes }

// tell appends a Seen if there is something new to tell.
func (h *handled) tell(dst []byte) []byte {
	if h.number == h.told {
		return dst
	}
	h.told, h.bytes = h.number, 0
	return proto.AppendSeen(dst, h.number)
}

// frameSize is the size of the first of whole frames.
func frameSize(frames []byte) int {
	return proto.FrameHeaderSize + int(binary.BigEndian.Uint16(frames[1:]))
}
