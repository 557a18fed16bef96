//go:build unix

package main

import (
	"os"
	"testing"
)

// The passphrase is asked for at the terminal, twice for a backup and once for a restore, wherever the streams lead.
func TestTerminalBackup(t *testing.T) {
	t.Parallel()
	dir, _ := backedUp(t)
	start := func(args ...string) *person { return sitDown(t, dir, os.DevNull, args...) }
	const prompt = "passphrase for the backup: "

	p := start("backup", "night.age")
	p.seesPrompt(prompt)
	p.types(testPhrase + "\n")
	p.seesPrompt("the same again: ")
	p.types("another " + testPhrase + "\n")
	p.seesRow("sim: the two passphrases differ: try again")
	p.seesPrompt(prompt)
	p.types("password12\n")
	p.seesRow("sim: this passphrase is too easy.*")
	p.seesPrompt(prompt)
	p.types("half of it\x03")
	p.leaves(exitInterrupted)
	if _, err := os.Stat(dir + "/night.age"); err == nil {
		t.Error("there is a backup")
	}
	p.neverShowed(testPhrase)

	p = start("backup", "night.age")
	p.seesPrompt(prompt)
	p.types(testPhrase + "\n")
	p.seesPrompt("the same again: ")
	p.types(testPhrase + "\n")
	p.seesRow("= backed up sim.db to night.age .*encrypted.*")
	p.leaves(0)
	p.neverShowed(testPhrase)

	p = start("restore", "--db", "new.db", "night.age")
	p.seesPrompt("passphrase of the backup: ")
	p.types(testPhrase + "\n")
	p.seesRow("= restored new.db")
	p.leaves(0)
	p.neverShowed(testPhrase)

	p = start("backup", "--plain", "-") // nothing for a terminal
	p.seesRow("sim: a backup is nothing for a terminal.*")
	p.leaves(exitUsage)
}
