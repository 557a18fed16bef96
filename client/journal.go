package client

import (
	"time"

	"sim/proto"
)

// A journal is what lets a session go on over another connection. It numbers the frames of both directions, keeps those of this side until the
// server has handled them, and knows what the server is to be told. It is a pure machine. docs/PROTOCOL.md, section 4.6.
type journal struct {
	kept  [][]byte // numbered frames that the server has not handled, as far as is known
	size  int      // their bytes
	acked uint64   // the number of the last frame that it has handled: kept begins with the next
	sent  uint64   // the number of the last frame that a connection was given
	taken uint64   // the number of the last frame that the writer of one took, as far as is known; what is behind it stays on this machine

	off bool // the session ends with its connection: nothing is kept, and nothing told

	handled uint64    // the number of the server's last frame that was handled
	told    uint64    // what the last Seen said
	untold  int       // bytes that were handled since
	tellBy  time.Time // when a Seen is due by itself, if there is something to tell
}

// keep takes frames that are to be sent, and says whether there are any with a number. Those without are nobody's business once their connection
// is lost.
func (j *journal) keep(frames [][]byte) (some bool) {
	for _, f := range frames {
		switch {
		case !proto.Type(f[0]).Numbered():
			continue
		case !j.off:
			j.kept = append(j.kept, f)
			j.size += len(f)
		}
		some = true
	}
	return some
}

// given says that a connection was given everything that is kept.
func (j *journal) given() { j.sent = j.acked + uint64(len(j.kept)) }

// cut takes what a connection was given, and had not taken when it was cut.
func (j *journal) cut(left [][]byte) {
	taken := j.sent
	for _, f := range left {
		if proto.Type(f[0]).Numbered() {
			taken--
		}
	}
	j.taken = max(j.taken, taken)
}

// seen takes the server's word that it has handled all frames up to n. False means that it can't have.
func (j *journal) seen(n uint64) bool {
	if n < j.acked || n > j.sent {
		return false
	}
	for ; j.acked < n; j.acked++ {
		j.size -= len(j.kept[0])
		j.kept[0] = nil
		j.kept = j.kept[1:]
	}
	return true
}

// unseen says whether the server was given something that it has not yet said to have handled.
func (j *journal) unseen() bool { return j.sent > j.acked }

// full says that nothing more should be begun until the server has handled some of what is kept.
func (j *journal) full() bool { return j.size >= maxKept }

// took counts a frame of the server's that was handled, if it has a number.
func (j *journal) took(now time.Time, f proto.Frame) (numbered bool) {
	if !f.Type.Numbered() || j.off {
		return f.Type.Numbered()
	}
	j.handled++
	j.untold += proto.FrameHeaderSize + len(f.Body)
	j.tellBy = now.Add(seenWait)
	return true
}

// tells says whether the server has not been told of all that was handled.
func (j *journal) tells() bool { return j.handled > j.told }

// due says whether it is to be told now, even if nothing else is to be sent.
func (j *journal) due(now time.Time) bool {
	return j.tells() && (j.handled-j.told >= seenFrames || j.untold >= seenBytes || !now.Before(j.tellBy))
}

// tell returns the Seen that tells it.
func (j *journal) tell() []byte {
	j.toldAll()
	return proto.AppendSeen(nil, j.told)
}

func (j *journal) toldAll() { j.told, j.untold = j.handled, 0 }

// A clock is a session's time. It stands still while there is no connection: nobody waits in vain for an answer that can't come.
type clock struct {
	behind  time.Duration // by how much the session's time is less than real time
	stopped time.Time     // the real time at which it stands; zero while it runs
}

// now returns the session's time.
func (c *clock) now(real time.Time) time.Time {
	if !c.stopped.IsZero() {
		real = c.stopped
	}
	return real.Add(-c.behind)
}

// real returns when it will be a time of the session's; zero is never.
func (c *clock) real(at time.Time) time.Time {
	if at.IsZero() || !c.stopped.IsZero() {
		return time.Time{}
	}
	return at.Add(c.behind)
}

func (c *clock) stop(real time.Time) {
	if c.stopped.IsZero() {
		c.stopped = real
	}
}

func (c *clock) start(real time.Time) {
	if !c.stopped.IsZero() {
		c.behind += real.Sub(c.stopped)
		c.stopped = time.Time{}
	}
}
