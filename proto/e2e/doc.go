// Package e2e is what two clients say to each other through a server that only relays: the opening of a conversation, its
// messages, and the digits that two people compare. docs/PROTOCOL.md, sections 7 and 8, fixes every byte; this is the outline.
//
// The opening is the expanded Needham-Schroeder protocol between the initiator A, the responder B and the server S, with
// a hybrid Diffie-Hellman (X25519 and ML-KEM-768) between A and B:
//
//	Want      A → B   the versions that A speaks                          Start      → want
//	Nonce     B → A   the chosen version, a nonce for S                   Answer     → nonce
//	Intro     A → S   package ticket                                      A.Nonce    → intro
//	Ticket    S → A   K, and a ticket with K for B                        A.Ticket   → offer
//	Offer     A → B   ticket, box{ N_2 ‖ commitment to e_A ‖ mark }       B.Offer    → accept
//	Accept    B → A   box{ N_2 ‖ N_3 ‖ e_B ‖ ek_B ‖ continued }           A.Accept   → confirm, Conversation
//	Confirm   A → B   box{ N_3 ‖ e_A ‖ r ‖ ct } ‖ first message           B.Confirm  → Conversation
//
//	commitment = SHA-256("sim/1 commitment" ‖ A ‖ B ‖ cid ‖ r ‖ e_A)
//	K_AB       = HKDF(X25519(e_A, e_B) ‖ ML-KEM shared secret ‖ CS, salt = K, info = "sim/1 conversation" ‖ h7)
//
// The mark, continued and CS are of version 2, in which a conversation can follow an earlier one of the same two users: CS
// is that one's continuity secret, the mark shows that A holds it, and continued says that B does. A server that was no
// end of the first conversation is none of the second.
//
// The server knows K and none of e_A, e_B and ek_B's private halves. A server that puts its own in their place gives
// the two ends different digits, and the commitment leaves it one guess.
//
// Each end is a step machine: a message in, a message out; no network, no clock. A step out of turn is ErrTurn. A message
// that is refused leaves the machine as it was, so a forgery costs its target nothing, with two exceptions: N_1 is used up
// by the first intro box that opens, N_B by the first ticket that opens, whatever follows. After such a refusal the
// machine is over.
//
// In a conversation each direction has a chain of keys that are used once and numbers that are accepted once and in order:
//
//	07 ‖ cid (16) ‖ number (8) ‖ share (32) ‖ AES-256-GCM(message key, nonce 0, cid ‖ direction ‖ number ‖ share, plaintext)
//	plaintext = acknowledged (8) ‖ kind (1) ‖ body;    body of a text = length (2) ‖ text ‖ zeros
//
// In version 1 the two chains come from K_AB and the share is zeros. In version 2 they come from a ratchet: whenever the talk
// turns, the sender brings a new share, and begins a new chain with what it and the other's last share give. The two sides
// turn alternately. Who has copied one side's whole state reads neither what that side had sealed and opened before nor, if
// he only listens, anything from that side's next turn on, in both directions.
//
// Secrets are cleared when they have done their work. In Go that is best effort: what crypto/ecdh, crypto/mlkem, crypto/aes and
// crypto/hkdf copy for themselves can only be dropped, and the runtime may have moved a stack. X25519 private keys are
// kept as bytes of our own, and given to crypto/ecdh only for one computation.
package e2e
