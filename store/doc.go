// Package store is the server's one file: accounts, the server's key and
// secrets, and the version of their layout, in a bbolt database.
//
// A change is on the disk (fsync) when the call that makes it returns nil, and a
// change that failed left nothing behind. One process at a time holds the file.
//
// # Layout, schema 1
//
// Numbers are big-endian; times are milliseconds since 1970 in UTC, signed. Every
// value has exactly the length given here.
//
//	bucket sim.meta
//	    "schema"     4   version of this layout, 1
//	    "identity" 113   written in the transaction that makes the database
//	         0  32  X25519 private key of the server
//	        32  32  secret of the salts
//	        64  32  secret of the invented verifiers
//	        96   4  Argon2id passes
//	       100   4  Argon2id memory, KiB
//	       104   1  Argon2id lanes
//	       105   8  when the database was made
//	bucket sim.accounts
//	    name, 1 to 32 bytes → 272
//	         0 256  SRP verifier
//	       256   8  when the account was made
//	       264   8  when the verifier was last set
package store
