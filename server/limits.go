package server

import (
	"time"

	"sim/proto"
)

// Connections.
const (
	defaultMaxConns    = 20_000 // in all
	defaultMaxUnproven = 4_096  // of them, those that are not logged in
	defaultPuzzleBits  = 18
	minPuzzleBits      = 4 // a puzzle has none or at least these

	acceptBackoffMin = 5 * time.Millisecond // after an accept that failed: no file descriptor, mostly
	acceptBackoffMax = time.Second
)

// What waits for a session. Bytes of frames, before they are sealed.
const (
	outboxSize      = 64 << 10  // for one session
	outboxReserve   = 4 << 10   // of them, what others' Relays leave for the session's own small answers
	outboxLast      = 64        // of them, for the frames that end it
	poolSize        = 256 << 20 // for all sessions
	poolReserve     = 16 << 20  // of them, what Relays leave for answers
	poolRetry       = 50 * time.Millisecond
	sealedKeep      = 128 << 10 // the largest buffer of sealed records that is kept for the next write
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
	readBuffer        = 544 // holds the smallest record, with its length
	idleTime          = 75 * time.Second
	replaceTime       = 10 * time.Second // between two replacements of a name's session
	maxHold           = proto.WelcomeWait
	maxContacts       = 256
	introsPerWindow   = 30
	introWindow       = time.Minute
	presenceTime      = time.Second // changes are gathered for so long
	maxWrongPasswords = 3
	choosingTime      = 10 * time.Minute // for a password in place of a one-time code
	maxChoosing       = 3                // sessions of one name that are to choose
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
