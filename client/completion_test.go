package client

import (
	"slices"
	"testing"
)

func TestFitting(t *testing.T) {
	names := []string{"bob", "list", "alice", "albert"}
	for _, tt := range []struct {
		before  string
		talking bool
		start   int
		fits    []string
	}{
		{"s", false, 0, []string{"send"}},
		{"un", false, 0, []string{"unblock", "unwatch"}},
		{"/pa", false, 1, []string{"passwd"}},
		{"/AL", false, 1, []string{"albert", "alice"}},
		{"/li", false, 1, []string{"list"}}, // the command and the name are one word
		{"send al", false, 5, []string{"albert", "alice"}},
		{"send bob al", false, 9, nil},
		{"disconnect bob al", false, 15, []string{"albert", "alice"}},
		{"verify bob al", false, 11, nil},
		{"talk b", false, 5, []string{"bob"}},
		{"block b", false, 6, []string{"bob"}},
		{"watch b", false, 6, []string{"bob"}},
		{"recv b", false, 5, nil},
		{"nonsense b", false, 9, nil},
		{"send", true, 4, nil},
		{"al", true, 0, nil},
		{"/send b", true, 6, []string{"bob"}},
		{"/b", true, 1, []string{"block", "bob"}},
	} {
		start, fits := fitting(tt.before, tt.talking, names)
		if len(tt.fits) == 0 && len(fits) == 0 {
			continue
		}
		if start != tt.start || !slices.Equal(fits, tt.fits) {
			t.Errorf("%q: %d %q, want %d %q", tt.before, start, fits, tt.start, tt.fits)
		}
	}
}
