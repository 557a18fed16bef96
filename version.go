package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
)

// printVersion says what was built, and what it carries.
func printVersion(w io.Writer) error {
	version, commit := "unknown", "unknown"
	if info, ok := debug.ReadBuildInfo(); ok {
		version, commit = describe(info)
	}
	_, err := fmt.Fprintf(w, "sim version %s\ncommit %s\n%s %s/%s\nserver %s\n", version, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH, ownAddressText())
	return err
}

// describe returns the module's version, which is the tag of the commit or made of it, and the commit.
func describe(info *debug.BuildInfo) (version, commit string) {
	version, commit = info.Main.Version, "unknown"
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	if id := settings["vcs.revision"]; id != "" {
		commit = id + " of " + settings["vcs.time"]
		if settings["vcs.modified"] == "true" {
			commit += ", modified"
		}
	}
	return version, commit
}
