// Package srp is SRP-6a, the augmented password-authenticated key exchange of
// RFC 5054, in the 2048-bit group of its appendix A with SHA-256:
//
//	x = H(s | H(I | ":" | T))        T is Argon2id's output, in the password's place
//	v = g^x                          the verifier, all that the server keeps
//	k = H(N | PAD(g))                §2.5.3
//	A = g^a                          client → server, §2.5.4
//	B = k·v + g^b                    server → client, §2.5.3
//	u = H(PAD(A) | PAD(B))           §2.6
//	S = (B − k·g^x)^a · ((B − k·g^x)^u)^x = (A · v^u)^b
//
// all of it modulo N, and every group element always in its full 256 bytes
// (PAD, §2.1 there). It ends with the premaster secret S: the proofs M1 and M2
// are the caller's, since RFC 5054 defines none.
//
// The steps are types, so that none is called early, and none can be taken
// twice:
//
//	client    Begin() → A        …        Finish(name, salt, secret, B) → S
//	server              Answer(verifier, A) → B        …        Finish() → S
//
// The arithmetic is filippo.io/bigmod's and takes constant time in every
// secret. The exponents a, b, x and what is computed from them are cleared
// after use, as far as Go allows it: copies that the runtime or bigmod made on
// a stack stay until they are overwritten.
package srp
