package srp

// CheckVerifier says whether somebody else's verifier (256 bytes) can be one:
// it returns ErrVerifier unless it is below N and not 0, 1 or N-1.
func CheckVerifier(verifier *[Size]byte) error {
	if _, ok := group2048.usable(verifier[:]); !ok {
		return ErrVerifier
	}
	return nil
}
