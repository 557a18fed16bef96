// Package store is the server's one file: accounts, the server's key and
// secrets, who changed what, and the version of their layout, in a bbolt database.
//
// A change is on the disk (fsync) when the call that makes it returns nil, and a
// change that failed left nothing behind. One process at a time holds the file.
//
// # Layout, schema 2
//
// Numbers are big-endian; times are milliseconds since 1970 in UTC, signed, and 0
// is no time. Every value but an entry of the audit log has exactly the length
// given here.
//
//	bucket sim.meta
//	    "schema"     4   version of this layout, 2
//	    "identity" 113   written in the transaction that makes the database
//	         0  32  X25519 private key of the server
//	        32  32  secret of the salts
//	        64  32  secret of the invented verifiers
//	        96   4  Argon2id passes
//	       100   4  Argon2id memory, KiB
//	       104   1  Argon2id lanes
//	       105   8  when the database was made
//	bucket sim.accounts
//	    name, 1 to 32 bytes → 289
//	         0 256  SRP verifier, of a password or a one-time code
//	       256   8  when the account was made
//	       264   8  when the verifier was last set
//	       272   1  bit 0: disabled; bit 1: the verifier is a code's
//	       273   8  when the code expires
//	       281   8  number of its last change in the audit log
//	bucket sim.audit
//	    number, 8 bytes, 1 2 3 … → 10 and what they say
//	         0   8  when
//	         8   1  act
//	         9   1  n, 1 to 64
//	        10   n  who did it
//	      10+n      the account's name, to the end; nothing when it was about all
//
// Schema 1 had no audit log, and accounts of the first 272 bytes. To open it for
// writing brings it forward, after a copy, SIM.DB.schema1, was made beside it.
package store
