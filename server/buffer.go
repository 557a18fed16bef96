package server

import (
	"encoding/binary"
	"sync"

	"sim/proto"
)

// A buffer holds frames that wait, or sealed records. It is taken when there is something to hold, and given back when there is nothing.
type buffer struct{ bytes []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, 0, bufferSize)} }}

// takeBuffer returns an empty buffer.
func takeBuffer() *buffer { return buffers.Get().(*buffer) }

// free gives a buffer back, which nobody may use any more. One that has grown large is left to the garbage collector.
func (b *buffer) free() {
	if cap(b.bytes) <= bufferKeep {
		b.bytes = b.bytes[:0]
		buffers.Put(b)
	}
}

// trim returns a buffer with the same bytes and no room for others, or nil if there are none.
func (b *buffer) trim() *buffer {
	defer b.free()
	if len(b.bytes) == 0 {
		return nil
	}
	return &buffer{append(make([]byte, 0, len(b.bytes)), b.bytes...)}
}

// An intake is what was read of a connection and not yet handled. It holds memory only while there is something in it, and while more is read:
// who sends the beginning of a record, and waits, makes it hold no more than that record.
type intake struct {
	memory   []byte
	from, to int
}

var readMemory = sync.Pool{New: func() any { return new([readSize]byte) }}

// bytes is what is in it. It stays in its place until room is called.
func (in *intake) bytes() []byte { return in.memory[in.from:in.to] }

func (in *intake) empty() bool { return in.from == in.to }

// full says whether the last read took all the room that there was, so that more may have come.
func (in *intake) full() bool { return in.to == len(in.memory) && in.to > 0 }

// drop takes n bytes out.
func (in *intake) drop(n int) { in.from += n }

// put notes that n bytes were read.
func (in *intake) put(n int) { in.to += n }

// room returns where to read to, and always some.
func (in *intake) room() []byte {
	full := in.full()
	if in.from > 0 {
		in.from, in.to = 0, copy(in.memory, in.bytes())
	}
	if in.to == len(in.memory) || full && len(in.memory) < readSize {
		in.move(readMemory.Get().(*[readSize]byte)[:])
	}
	return in.memory[in.to:]
}

// rest is called when there is nothing to read for now.
func (in *intake) rest() {
	switch {
	case in.empty():
		in.move(nil)
	case len(in.memory) == readSize:
		in.move(make([]byte, max(readBuffer, recordSize(in.bytes()))))
	}
}

// move gives other memory to what is in it. That holds no whole record, and so fits.
func (in *intake) move(memory []byte) {
	n := copy(memory, in.bytes())
	if len(in.memory) == readSize {
		readMemory.Put((*[readSize]byte)(in.memory))
	}
	in.memory, in.from, in.to = memory, 0, n
}

// free gives the memory back, whatever is in it.
func (in *intake) free() {
	in.from = in.to
	in.move(nil)
}

// recordSize is the size of the record that begins with b: 0 if that is not known yet, or none has it.
func recordSize(b []byte) int {
	if len(b) < proto.RecordHeaderSize {
		return 0
	}
	if n := int(binary.BigEndian.Uint16(b)); proto.ValidRecord(n) {
		return proto.RecordHeaderSize + n
	}
	return 0
}
