// Package proto is the conversation between a sim client and its server as pure state machines: bytes in, values and bytes out.
// Time is an argument, randomness is crypto/rand's, and I/O is somebody else's. docs/PROTOCOL.md fixes every byte.
//
// A connection is a login and then a session:
//
//	1  C → S   Hello      versions, 32 random bytes, mac1           "I know your public key"
//	2  S → C   Challenge  puzzle, e_S, ML-KEM key                   the epoch's keys
//	3  C → S   Solution   of the puzzle, over the hash of
//	           Login      e_C, ML-KEM ciphertext, box{name, A}      nobody but S reads the name
//	4  S → C   Salt       box{salt, Argon2id's parameters, B, account puzzle}
//	5  C → S   Proof      box{account solution, M1}                 the password and the channel, proved as one
//	6  S → C   Welcome    box{M2, session id} or box{refused}       of one length
//	   C ⇄ S   records    AES-256-GCM, numbered, padded to 512 bytes … 16 KiB
//
// A record is a run of frames (frame.go). One frame, Relay, carries a peer message that the server does not look into; two, Intro
// and Ticket, are the server's part in the key establishment between two users:
//
//	1  A → B   Want      cid, versions                              in Relay
//	2  B → A   Nonce     box{cid, A, B, N_B} for S                  in Relay
//	3  A → S   Intro     cid, N_1, B, what 2 carried
//	4  S → A   Ticket    box{N_1, A, B, cid, K, ticket}             K, for A and B alone; S forgets it
//	5  A → B   Offer     ticket, box{N_2, commitment to e_A}        in Relay, from here on under K
//	6  B → A   Accept    box{N_2, N_3, e_B, ML-KEM key}
//	7  A → B   Confirm   box{N_3, e_A, ML-KEM ciphertext}, and the first message under K_AB
//	   A ⇄ B   Messages  a key each, numbered, acknowledged
//
// The rooms: srp is RFC 5054's arithmetic, puzzle the proof of work, box the one-use-key box and the transcript, record one direction
// of the channel, ticket what the server has a part in of the second table, e2e the rest of it (which the server can't import).
//
// In this folder: login.go, login_client.go and login_server.go are the first table, epoch.go and account.go what the server knows for it;
// frame.go and message.go the frames, session.go what both ends hold after Welcome, passwd.go the change of a password.
package proto
