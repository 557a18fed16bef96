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
	again  bool    // they have to be sent again: the connection is a new one
	bytes  *buffer // whole frames, those before first were seen; nil for none
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
		if k.bytes == nil {
			k.bytes = takeBuffer()
		}
		if b := k.bytes.bytes; len(b)+len(frame) > cap(b) && k.first > len(b)/2 {
			k.bytes.bytes = b[:copy(b, b[k.first:])]
			k.first = 0
		}
		k.bytes.bytes = append(k.bytes.bytes, frame...)
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
		k.first += frameSize(k.bytes.bytes[k.first:])
	}
	bytes = k.first - before
	if k.bytes != nil && k.first == len(k.bytes.bytes) {
		k.bytes.free()
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
	if k.bytes == nil {
		return nil
	}
	return append([]byte(nil), k.bytes.bytes[k.first:]...)
}

// trim leaves no room for others in the memory of what is kept.
func (k *kept) trim() {
	if k.bytes != nil {
		b := k.bytes.bytes
		k.bytes.bytes, k.first = b[:copy(b, b[k.first:])], 0
		k.bytes = k.bytes.trim()
	}
}

// forget drops all.
func (k *kept) forget() {
	if k.bytes != nil {
		k.bytes.free()
	}
	*k = kept{}
}

// handled are the client's numbered frames that were handled.
type handled struct {
	number uint64 // of the last
	told   uint64 // of the last that the client was told of
	bytes  int    // of those between
}

func (h *handled) add(frames, bytes int) {
	h.number += uint64(frames)
	h.bytes += bytes
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
