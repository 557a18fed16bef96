//go:build race

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// In a race run there are two programs. The servers, clients and demos that a test starts itself are its own program, which the detector
// watches: they stay, and goroutines meet in them. `sim` on the PATH, which admins, shells and stories run to its end, is built once
// without the detector, which would make each of its some hundreds of starts five times as dear: a library fills its tables then. The stories
// aboutFiles have no other one.
func init() {
	programsOfTheRun = func(dir string) (err error) {
		if watched, err = exec.LookPath("sim"); err != nil {
			return err
		}
		exe := filepath.Join(dir, filepath.Base(watched))
		build := exec.Command("go", "build", "-buildvcs=false", "-o", exe, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build sim without the race detector: %w\n%s", err, out)
		}
		os.Setenv("PATH", dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
		if os.Getenv("GORACE") == "" {
			os.Setenv("GORACE", "atexit_sleep_ms=20") // else a watched program waits a second at its end for the races of those that go on
		}
		return nil
	}
}
