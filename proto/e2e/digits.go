package e2e

import (
	"encoding/binary"
	"fmt"

	"sim/proto/ticket"
)

// digits are the twelve that the two users compare:
//
//	SHA-256("sim/1 digits" ‖ A ‖ B ‖ cid ‖ e_A ‖ e_B ‖ ek_B)[:8] mod 10^12
//
// They cover what each end chose before it saw the other's last choice, and not the ML-KEM ciphertext, which is chosen
// last: whoever sends it could search for one that makes the digits match. (2^64 is no multiple of 10^12; the bias is
// below 10^-7.)
func digits(run *ticket.Run, eA, eB, ekB []byte) string {
	sum := run.Hash("sim/1 digits", eA, eB, ekB)
	d := fmt.Sprintf("%012d", binary.BigEndian.Uint64(sum[:8])%1_000_000_000_000)
	return d[:3] + " " + d[3:6] + " " + d[6:9] + " " + d[9:]
}
