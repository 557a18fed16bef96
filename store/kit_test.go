package store

import (
	"fmt"
	"os"
	"time"
)

const testActor Actor = "uid 1000 in a test"

// saved is an account without its generation.
func saved(s *Store, name string) (Account, bool, error) {
	a, ok, err := s.Account(name)
	a.Generation = 0
	return a, ok, err
}

// allNames is what List returns, page by page.
func allNames(s *Store) (all []string, err error) {
	for after := ""; ; {
		page, err := s.List(after, maxPage)
		if err != nil || len(page) == 0 {
			return all, err
		}
		for _, p := range page {
			all = append(all, p.Name)
		}
		after = page[len(page)-1].Name
	}
}

// setVerifier sets a password, whatever the account's generation.
func setVerifier(s *Store, name string, v *[256]byte, now time.Time) error {
	_, err := s.SetVerifier(name, 0, v, false, time.Time{}, now, testActor)
	return err
}

// fail ends a helper.
func fail(a ...any) {
	fmt.Fprintln(os.Stderr, a...)
	os.Exit(1)
}
