package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const netemTexts = 20

// badNetworks are what tc is told; the first that the kernel knows counts.
var badNetworks = [][]string{
	{"netem", "delay", "100ms", "loss", "5%"},
	{"tbf", "rate", "100kbit", "burst", "2000", "limit", "4000"}, // a thin line, on which what doesn't fit is lost
}

// Alice and bob talk over a network that loses one packet in twenty and takes 100 ms each way: two network namespaces with a cable between
// them. Nothing is lost, doubled or out of order.
func TestLossyNetwork(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes a minute")
	}
	near, far := fmt.Sprintf("sim%da", os.Getpid()), fmt.Sprintf("sim%db", os.Getpid())
	for _, args := range [][]string{
		{"ip", "netns", "add", near},
		{"ip", "netns", "add", far},
		{"ip", "link", "add", near, "netns", near, "type", "veth", "peer", "name", far, "netns", far},
		{"ip", "-n", near, "address", "add", "10.99.0.1/24", "dev", near},
		{"ip", "-n", far, "address", "add", "10.99.0.2/24", "dev", far},
		{"ip", "-n", near, "link", "set", near, "up"},
		{"ip", "-n", far, "link", "set", far, "up"},
		{"ip", "-n", near, "link", "set", "lo", "up"},
	} {
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Skipf("this machine doesn't let us make a bad network: %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		if args[2] == "add" && args[1] == "netns" {
			t.Cleanup(func() { exec.Command("ip", "netns", "delete", args[3]).Run() })
		}
	}
	worsen := func(how []string) (err error) {
		for _, end := range []string{near, far} {
			if err == nil {
				err = exec.Command("ip", append([]string{"netns", "exec", end, "tc", "qdisc", "add", "dev", end, "root"}, how...)...).Run()
			}
		}
		return err
	}
	bad := slices.IndexFunc(badNetworks, func(how []string) bool { return worsen(how) == nil })
	if bad < 0 {
		t.Skip("this kernel can't make a network bad")
	}
	t.Log(strings.Join(badNetworks[bad], " "))
	defer func() {
		out, _ := exec.Command("ip", "netns", "exec", near, "tc", "-s", "qdisc", "show", "dev", near).CombinedOutput()
		t.Logf("%s", out)
	}()

	dir := t.TempDir()
	db, err := peopleDB()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sim.db"), db, 0o600); err != nil {
		t.Fatal(err)
	}
	exe, err := exec.LookPath("sim")
	if err != nil {
		t.Fatal(err)
	}
	inside := func(namespace string, args ...string) *actor {
		t.Helper()
		a, err := startProgram(dir, append(os.Environ(), "SIM_SERVER="), "ip", append([]string{"netns", "exec", namespace, exe}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(a.kill)
		return a
	}
	server := inside(near, "server", "--listen", "10.99.0.1:7465")
	address, err := server.see("sim://.*")
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	bob := inside(far, "client", "--server", address, "--user", "bob")
	bob.say(people["bob"])
	sees(t, bob, "= logged in as bob")
	alice := inside(far, "client", "--server", address, "--user", "alice")
	alice.say(people["alice"])
	sees(t, alice, "= logged in as alice")
	t.Logf("two log-ins took %v", time.Since(began).Round(time.Millisecond))
	began = time.Now()
	for i := range netemTexts {
		alice.say(fmt.Sprintf("send bob text %d", i))
	}
	for range netemTexts {
		if got, err := alice.see("= .*"); err != nil || got != "= bob: delivered" {
			t.Fatal(got, err)
		}
	}
	for i := range netemTexts {
		if got, err := bob.see("< .*"); err != nil || got != fmt.Sprintf("< alice: text %d", i) {
			t.Fatal(got, err)
		}
	}
	t.Logf("%d texts took %v", netemTexts, time.Since(began).Round(time.Millisecond))
	for _, who := range []*actor{alice, bob} {
		who.stdin.Close()
		if code, err := who.end(); code != 0 || err != nil {
			t.Error(code, err)
		}
	}
}
