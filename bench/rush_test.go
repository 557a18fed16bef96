package main

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"sim/proto"
)

// Who is not let in comes again, after the time that the server names if it names one; what counts is the time until all are in.
func TestRush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var attempts [3]int
		begun := false
		r, err := untilIn(3, func() { begun = true }, func(n int) error {
			switch attempts[n]++; {
			case !begun:
				t.Error("it has not begun")
			case n == 1 && attempts[n] == 1:
				return &proto.BusyError{Seconds: 3}
			case n == 2 && attempts[n] <= 2:
				return io.ErrUnexpectedEOF
			}
			return nil
		})
		if err != nil || r.all != 3*time.Second || r.half == 0 || r.half > 2*rushPause || r.retries != 3 || attempts != [3]int{1, 2, 3} {
			t.Errorf("%+v, %v after %v attempts", r, err, attempts)
		}
	})
}

// Who is refused does not come again, and neither does who has waited too long.
func TestRushEnds(t *testing.T) {
	for _, want := range []error{proto.ErrRefused, io.ErrUnexpectedEOF} {
		synctest.Test(t, func(t *testing.T) {
			began, attempts := time.Now(), 0
			_, err := untilIn(1, func() {}, func(int) error { attempts++; return want })
			if !errors.Is(err, want) || (want == proto.ErrRefused) != (attempts == 1) || (attempts == 1) != (time.Since(began) == 0) ||
				attempts > 1 && (time.Since(began) <= rushPatience || time.Since(began) > rushPatience+rushPause) {
				t.Errorf("%v after %v and %d attempts", err, time.Since(began), attempts)
			}
		})
	}
}
