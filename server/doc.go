// Package server is the relay that people log in to: a socket, a goroutine or two for each connection, and what they share.
// The conversation with a client is package proto's; here are the sockets, the clocks, the goroutines and the limits.
//
//	server.go     the lifetime: listening, accepting, the epochs, stopping
//	admission.go  who may stay: a cap on connections, and one on each pool of those that are not logged in
//	network.go    which addresses count as one, and who has most
//	budget.go     how many log-ins do public-key work at once, who is next, and how hard the puzzle is
//	guessing.go   what is known of guesses: at a name, from a network, in all
//	line.go       who waits to have a password tested at a name
//	counters.go   what became of connections and log-ins
//	health.go     how the server is, in numbers
//	conn.go       one connection, from accept to its session
//	login.go      the login, with the two queues that it passes
//	session.go    who is logged in, what is done with each frame, and the end
//	link.go       a connection of a session: the records that come
//	lot*.go       where links wait, many for one goroutine, which handles what never waits
//	wire_linux.go a TCP connection that can leave Go's poller, for the lot
//	socket*.go    reading and writing without waiting, where the system can
//	buffer.go     the memory of what was read, and of what waits
//	resume.go     how a session outlives its connection
//	outbox.go     the bounded queue of what waits for one session
//	writing.go    who writes it
//	kept.go       what was sent and not yet seen, and what was handled and not yet told
//	registry.go   who is logged in: replacing, listing, watching
//	relay.go      what passes between two sessions
//	passwd.go     the change of a password
//	accounts.go   accounts, through a running server or on the database itself
//	upkeep.go     the care of the database as a whole, by either way
//	backup.go     a backup's way through the admin socket
//	admin.go      both ends of the admin socket
//	tidy.go       when memory is given back to the system
//	limits.go     every limit
//
// A connection that has proved nothing has one goroutine and a small buffer. A session has none on Linux while nothing of it has to wait, nor
// while it has no connection, and otherwise one: the reader, which owns the connection's incoming half and everything about the session that nobody else needs. The outgoing half is
// whoever's who writes: mostly the reader of the session that has sent something, and a goroutine of its own where the socket does not take all.
// What others need is guarded by the registry's mutex, the queue between them by its own, and which connection a session has by
// the session's. The orders of locks are registry, outbox, pool, and session, outbox, pool; those of admission, budget and guessing are held alone;
// no lock is held during I/O that may wait. One exception: who resumes a session holds its attempts while the connection before ends.
//
// The log gets codes and reasons: no secrets, no bytes of messages, and no names and addresses unless the operator wants them (Config.Identities).
package server
