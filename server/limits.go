package server

import (
	"time"

	"sim/proto"
)

// Connections.
const (
	defaultMaxConns    = 20_000 // in all
	defaultMaxUnproven = 4_096  // of them, those that have solved no puzzle
	defaultMaxSolved   = 4_096  // that have, and wait for their Login's turn
	defaultMaxRunning  = 4_096  // whose handshake runs
	defaultPuzzleBits  = 18
	minPuzzleBits      = 4 // a puzzle has none or at least these
	discardBuffer      = 64
	descriptorReserve  = 48 // of the process's file descriptors, for all that is no client

	acceptBackoffMin = 5 * time.Millisecond // after an accept that failed: no file descriptor, mostly
	acceptBackoffMax = time.Second

	healthEvery = 10 * time.Minute // a line in the log
)

// The budget for the public-key work of log-ins, and the puzzle that follows it.
const (
	maxQueued     = 2 * time.Second        // of work
	maxQueueWait  = 20 * time.Second       // of one Login, which others overtake; a client waits for proto.SaltWait
	maxChanges    = 256                    // of password that wait
	maxChangeWait = 10 * time.Second       // of one step of such a change; a client waits for 30 s, and the disk takes some of them
	firstCost     = time.Millisecond       // of a step, before one was measured
	leastCost     = 100 * time.Microsecond // of a step, whatever was measured: it bounds the queues
	costMemory    = 16                     // steps that the mean is of

	longWait   = 500 * time.Millisecond // in a queue: puzzles get harder
	calmWait   = 50 * time.Millisecond  // puzzles get easier, after a time
	raiseEvery = time.Second            // a bit
	lowerEvery = 15 * time.Second       // a bit
)

// From a Proof to its Welcome a log-in waits at the name, for the budget and for its turn to replace a session: for so long in all. A client
// waits for proto.WelcomeWait, and the difference is for the way.
const maxWelcomeWait = proto.WelcomeWait - 5*time.Second

// busyLogin and busyProof are from and to how many seconds later a client is asked to come back.
var (
	busyLogin = [2]int{2, 10}
	busyProof = [2]int{10, 40}
)

// Guesses at passwords.
const (
	guessEvery   = 2 * time.Second  // at a name: 43,200 a day
	maxProofWait = 50 * time.Second // of a Proof at a name
	maxLine      = 24               // Proofs that wait in a queue at a name: what can be served in maxProofWait

	cellHalf         = 2 * time.Minute // a name's failures are half forgotten
	freeScore        = 3               // failures and handshakes in flight without an account puzzle
	firstAccountBits = 12              // of the next one
	bitsEach         = 2               // of each further one, up to proto.MaxAccountPuzzleBits

	networkCells = 1 << 12
	failureHalf  = time.Minute // a network's failures are half forgotten, and all failures

	homeSets  = 1 << 14
	homesEach = 4
	homeTime  = 7 * 24 * time.Hour
)

// What failures add to the puzzle of Challenge.
var (
	networkSurcharge = surcharge{from: 8, most: 6}
	totalSurcharge   = surcharge{from: 128, most: 3}
)

// What waits for a session. Bytes of frames, before they are sealed.
const (
	outboxSize      = 64 << 10  // for one session
	outboxReserve   = 4 << 10   // of them, what others' Relays leave for the session's own small answers
	outboxLast      = 64        // of them, for the frames that end it
	poolSize        = 256 << 20 // for all sessions
	poolReserve     = 16 << 20  // of them, what Relays leave for answers
	poolRetry       = 50 * time.Millisecond
	bufferSize      = 8 << 10   // of a new buffer, for frames or for sealed records
	bufferKeep      = 160 << 10 // the largest that is kept for the next use: holds a full outbox, sealed
	mostInPlace     = 3         // batches that one who is not a writer writes to a session before a writer goes on
	maxTouched      = 8         // sessions that a reader has put something in for, and has not flushed
	repeatedRecords = 2 << 10   // bytes of frames in each record of what waits for a new connection: of one that does not last either, some arrive whole
	stallTime       = 20 * time.Second
	stallCheck      = 5 * time.Second // how often a write that stands still is looked at
	flushTime       = 10 * time.Second
	lingerTime      = 2 * time.Second // after the last record, so that the client reads it before the connection goes
	goneFrameSize   = proto.FrameHeaderSize + proto.NameSize + proto.TagSize + 1
	pongFrameSize   = proto.FrameHeaderSize + 8
	noticeFrameSize = proto.FrameHeaderSize + 1
	ticketMaxSize   = proto.FrameHeaderSize + 16 + 1 + 352
	presenceEntry   = proto.NameSize + 1
	presenceMax     = proto.FrameHeaderSize + proto.MaxWatched*presenceEntry
	passwdSaltSize  = proto.FrameHeaderSize + 32 + 9 + 256
	doneFrameSize   = proto.FrameHeaderSize + 33
)

// Sessions.
const (
	readBuffer        = 544      // holds the smallest record, with its length
	readSize          = 32 << 10 // what is read at once, where more has come: more than the largest record
	idleTime          = 75 * time.Second
	quietTime         = 2 * time.Second // without a record, and a link that has a goroutine is parked
	maxLots           = 4
	lotProcessors     = 4                     // to a lot
	lotReads          = 4                     // of a link in turn, where each has filled its room; who has still more to say gets a goroutine
	lotBrisk          = 16                    // times in turn that something came within lotLinger, and the lot waits in the system,
	lotLinger         = 5 * time.Millisecond  // until so long nothing came
	lotTurn           = 8 * time.Millisecond  // after which others get their turn
	lateAck           = 40 * time.Millisecond // TCP_DELACK_MIN of Linux
	lotSweep          = 5 * time.Second       // how often is looked for parked links of which nothing was heard for idleTime
	lotSwept          = 256                   // that are ended at a time
	lotEvents         = 128                   // parked links for which something has come, at a time
	silentTime        = time.Minute           // with nothing but Pings, and a parked link is silent
	lotPause          = 50 * time.Millisecond // before the lot looks again where the silent say much: then it wakes once for several
	lotDense          = 2                     // records in lotPause, on the average, are much
	replaceTime       = 10 * time.Second      // between two replacements of a name's session
	maxContacts       = 256
	introsPerWindow   = 30
	introWindow       = time.Minute
	presenceTime      = time.Second // changes are gathered for so long
	maxWrongPasswords = 3
	choosingTime      = 10 * time.Minute // for a password in place of a one-time code
	maxChoosing       = 3                // sessions of one name that are to choose
)

// Sessions that outlive their connections.
const (
	detachedTime = 120 * time.Second // without a connection
	maxDetached  = 20_000            // sessions without one
	seenFrames   = 32                // a Seen is sent for its own sake when so many frames were handled
	seenBytes    = 16 << 10          // or so many bytes of them

	// In place of outboxReserve: List and Watch, once each, never have to wait for a Seen, which comes behind them.
	keptReserve = outboxReserve + proto.MaxUsersFrame + presenceMax
)

// Memory that is given back to the system when many sessions have begun or come back.
const (
	tidyEvery = time.Second // is looked
	tidyAfter = 256         // sessions, since it was given back last
	tidyCalm  = 4           // at the most, in tidyEvery: all but a few are in
)

// The admin socket.
const (
	maxAdmins          = 8 // at once
	adminReadTime      = 5 * time.Second
	adminExchangeTime  = 15 * time.Second // a commit may wait for a slow disk
	adminDialTime      = 2 * time.Second
	maxAdminRequest    = 1024
	maxAdminAnswer     = 60 << 10 // a page of the list or of the log
	adminPage          = 100      // people or entries in one
	maxAdminText       = 512
	maxAddresses       = 100 // that a server tells of
	maxChunk           = 32 << 10
	adminChunkTime     = 10 * time.Second // to write one
	adminCopyTime      = 2 * time.Minute  // to the next one: the server makes a whole copy before the first
	maxSocketPath      = 100              // bytes; the shortest limit of the systems is 103
	acceptAdminBackoff = 100 * time.Millisecond
)
