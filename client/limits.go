package client

import (
	"time"

	"sim/proto"
)

// Every queue, wait and retry of a client has its bound here. Those of the wire are docs/PROTOCOL.md's, section 10.
const (
	stepWait    = 15 * time.Second // a step of opening a conversation
	openingWait = 2 * time.Minute  // for a conversation, whatever the attempts come to; more than maxOpenings of ours and one of theirs take
	ackWait     = 30 * time.Second // a text's acknowledgement, or room in the window; then its outcome is told
	wantEvery   = 2 * time.Second  // Wants of one sender that are answered

	windowTexts  = 32       // texts of a conversation that wait for an acknowledgement
	windowBytes  = 48 << 10 // and their bytes
	maxUnsettled = 128      // messages of a conversation kept for repetition, from which on no mere acknowledgement is added
	maxWaiting   = 64       // texts for one peer that are not sealed yet
	maxPeers     = 256      // as many as the server keeps for a session
	maxLists     = 16       // lists asked for at once
	maxNames     = 100_000  // of one list

	firstBackoff = 50 * time.Millisecond // after "full"; doubles
	maxBackoff   = 2 * time.Second
	maxOpenings  = 2 // attempts at opening for the same texts
	crowdedRetry = 5 * time.Second
	crowdedWait  = 90 * time.Second // for the server to take an Intro again; it takes 30 in any minute

	maxWatched = proto.MaxWatched
	maxBlocked = 1024
	watchEvery = time.Second     // between two Watches
	partedFor  = 5 * time.Second // after the end of a session was told, that it is offline is no news; the server gathers changes for one

	passwordSaltWait = 30 * time.Second // for the server's answers to a change of password
	passwordDoneWait = 30 * time.Second // which it writes to its disk
	maxWrongOld      = 3                // old passwords that the server takes in a session
	maxChoices       = 5                // new passwords that are judged for one change at a terminal

	notifyEvery = 2 * time.Second  // between two bells, or commands, for one sender
	notifyTime  = 10 * time.Second // of the command; then it is killed
	notifyDrain = 2 * time.Second  // for the command when the client ends
	maxNotified = 256              // senders that are remembered

	dialWait      = 10 * time.Second // for the TCP connection
	logoutWait    = 5 * time.Second  // for LoggedOut
	interruptWait = time.Second      // for the server, and for the output, to take what is left when everything ends at once
	quickClose    = 4 * time.Second  // a connection closed this soon after Hello is tried again
	loginTries    = 3
	pingAfter     = 30 * time.Second // without a record from the server
	probeAfter    = 3 * time.Second  // likewise, while something is waited for: with pongWait less than stepWait, so that a dead connection fails no step
	livelyAfter   = 10 * time.Second // likewise, for livelyFor after the last frame either way: whoever writes to this user waits for ackWait
	livelyFor     = time.Minute
	pongWait      = 10 * time.Second // for a record behind a Ping; then the connection is lost
	slowPongWait  = 20 * time.Second // for the Pong itself, behind others
	silenceWait   = 50 * time.Second // without a record from the server: lost
	writeWait     = 20 * time.Second // for the server to take what is written

	seenFrames = 32          // of the server's, from which on it is told at once that they were handled
	seenBytes  = 16 << 10    // likewise
	seenWait   = time.Second // otherwise so long after the last, or with whatever else is sent
	maxKept    = 256 << 10   // bytes that were sent, or are to be, and that the server has not handled; then no command is taken

	resumedWait  = 10 * time.Second       // for each answer in an attempt
	firstRetry   = 500 * time.Millisecond // after the second attempt; doubles
	maxRetry     = 15 * time.Second
	maxBusy      = time.Minute     // that a busy server's word is followed, in all at a log-in
	lookEvery    = 5 * time.Second // at the time of day, to see whether the machine slept
	sleptAtLeast = silenceWait     // then the connection is taken for lost

	comebackSoon = 5 * time.Second  // at most, before a session that is over is followed by a log-in that nobody typed: all clients of a server that was started again come at once
	maxComeback  = time.Minute      // between two such log-ins; doubles up to there
	comebackFor  = 10 * time.Minute // in all

	repeatedRecords = 2 << 10         // bytes of frames in each record of what waits for a new connection: of one that does not last either, some arrive whole
	maxQueuedFrames = 1 << 20         // bytes that wait for the socket; more means that the server takes nothing
	maxRecent       = 256             // outcomes that are summed up when the screen was wiped
	readWait        = 5 * time.Second // for a person to have read a line
	farewellWait    = time.Second     // for what is under way when the user leaves; then it is said what is waited for
	maxQueuedLines  = 256             // lines that wait for the output; from there on nothing is read from the server
	ctrlCWait       = 2 * time.Second
	cutWait         = 200 * time.Millisecond // without a byte, after Ctrl-C in a paste: then it was a person's, and no part of what is pasted
)
