//go:build unix

package main

import (
	"strings"
	"testing"

	"sim/password"
)

// Talking to somebody: the prompt says to whom, lines go there as they stand, and Tab and the slash make commands.
func TestTerminalTalk(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	bob := bobIn(t, dir, address)
	alice := aliceIn(t, dir, address)
	alice.types("list\r") // what Tab completes is known then
	alice.seesRow(`= online \(2\): alice bob`)
	alice.types("/bo\t\r")
	alice.seesRow("= talking to bob")
	alice.seesRow(`\d\d:\d\d \* bob is online`)
	alice.seesPrompt("alice → bob> ")
	alice.types("quit\r")
	alice.seesPrompt(`send "quit" to bob as a message? [y/N]  (/quit is the command) `)
	alice.types("y")
	sees(t, bob, "< alice: quit")
	alice.types("//quit is no text\r")
	sees(t, bob, "< alice: /quit is no text")
	alice.seesPrompt("alice → bob> ")
	alice.types("/ver\tbob\r")
	alice.seesRow(`= verify bob: (\d{3} ){4}\(not confirmed\)`)
	alice.types("/block carol\r")
	alice.seesRow("= blocked carol")
	alice.types("/\r")
	alice.seesRow("= talking to nobody")
	alice.seesPrompt("alice> ")
	alice.types("quit\r")
	alice.leaves(0)
}

// A password is changed, and none is ever shown.
func TestTerminalPasswd(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	const fresh, weak = "lantern quarry 98 turnip", "password1234"
	alice := aliceIn(t, dir, address)
	alice.types("passwd\r")
	alice.seesPrompt("old password: ")
	alice.types(people["alice"] + "\r")
	alice.seesPrompt("new password: ")
	alice.types(weak + "\r")
	alice.seesRow("this password is too easy to guess.*")
	alice.seesPrompt("new password: ")
	alice.types(fresh + "\r")
	alice.seesPrompt("the same again: ")
	alice.types(fresh + "\r")
	alice.seesRow("= password changed")
	alice.types("logout\r")
	alice.seesRow("= logged out alice")
	alice.types("login alice\r")
	alice.seesPrompt("password for alice: ")
	alice.types(fresh + "\r")
	alice.seesPrompt("alice> ")
	alice.types("quit\r")
	alice.leaves(0)
	alice.neverShowed(people["alice"], fresh, weak)
}

// A one-time code, as somebody types it from a piece of paper, and the password that is chosen in its place.
func TestTerminalCode(t *testing.T) {
	t.Parallel()
	dir, address, _ := room(t)
	admin := sitDown(t, dir, "", "adduser", "--invite", "dave")
	admin.seesRow("code: .*")
	admin.leaves(0)
	_, rest, _ := strings.Cut(admin.showed(), "code: ")
	code, _, _ := strings.Cut(rest, "\r\n")
	if _, ok := password.ParseCode([]byte(code)); !ok {
		t.Fatalf("%q is no code", code)
	}
	const fresh = "lantern quarry 98 turnip"
	typed := strings.ToUpper(strings.ReplaceAll(code, "-", " "))
	dave := sitDown(t, dir, "", "client", "--server", address, "--user", "dave")
	dave.seesPrompt("password for dave: ")
	dave.types(typed[:len(typed)-1] + "\r")
	dave.seesRow("login refused.*")
	dave.seesPrompt("password for dave: ")
	dave.types(typed + "\r")
	dave.seesRow(`\d\d:\d\d \* the one-time code is right.*`)
	dave.seesPrompt("new password: ")
	dave.types(fresh + "\r")
	dave.seesPrompt("the same again: ")
	dave.types(fresh + "\r")
	dave.seesRow("= logged in as dave")
	dave.seesPrompt("dave> ")
	dave.types("quit\r")
	dave.leaves(0)
	dave.neverShowed(code, typed, fresh)
}
