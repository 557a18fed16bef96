package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sim/store"
)

// A person whose name was reserved later is told of: the name can be taken for the system's own voice.
func TestCheckTellsOfReservedNames(t *testing.T) {
	t.Parallel()
	db := filepath.Join(t.TempDir(), "sim.db")
	if err := makePeople(db); err != nil {
		t.Fatal(err)
	}
	out, errs, code := sim(t, "check", "--db", db, "--listen", "127.0.0.1:0")
	if code != 0 || strings.Contains(out, "names") {
		t.Errorf("before: %d\n%s%s", code, out, errs)
	}
	st, err := store.Open(db, store.Options{Existing: true})
	if err != nil {
		t.Fatal(err)
	}
	err = st.Add("root", store.Account{Verifier: [256]byte{1}, Created: time.Now()}, store.OnFile())
	if st.Close(); err != nil {
		t.Fatal(err)
	}
	out, errs, code = sim(t, "check", "--db", db, "--listen", "127.0.0.1:0")
	if want := "= warning names: the name root is reserved, since people could take it for"; code != 0 || strings.Count(out, want) != 1 || !strings.Contains(out, "sim users remove root") {
		t.Errorf("with root: %d\n%s%s", code, out, errs)
	}
}
