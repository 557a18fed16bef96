package main

import (
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	at := func(version string, settings ...string) *debug.BuildInfo {
		info := &debug.BuildInfo{Main: debug.Module{Version: version}}
		for i := 0; i < len(settings); i += 2 {
			info.Settings = append(info.Settings, debug.BuildSetting{Key: settings[i], Value: settings[i+1]})
		}
		return info
	}
	for _, c := range []struct {
		info            *debug.BuildInfo
		version, commit string
	}{
		{at(""), "devel", "unknown"},
		{at("(devel)"), "devel", "unknown"},
		{at("v1.2.3", "vcs.revision", "abc", "vcs.time", "2026-11-23T08:00:00Z", "vcs.modified", "false"), "v1.2.3", "abc of 2026-11-23T08:00:00Z"},
		{at("v1.2.3+dirty", "vcs.revision", "abc", "vcs.time", "2026-11-23T08:00:00Z", "vcs.modified", "true"), "v1.2.3+dirty", "abc of 2026-11-23T08:00:00Z, modified"},
	} {
		if version, commit := describe(c.info); version != c.version || commit != c.commit {
			t.Errorf("%q, %q; want %q, %q", version, commit, c.version, c.commit)
		}
	}
}

// What can't be written is told.
func TestOwnWordsToAFullDisk(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("there is no /dev/full")
	}
	defer full.Close()
	for _, args := range [][]string{{"--version"}, {"config"}, {"config", "server"}, {"completion", "bash"}, {"man"}} {
		var errs strings.Builder
		if code := run(t.Context(), args, nil, full, &errs); code != exitFailed || !strings.HasPrefix(errs.String(), "sim: ") {
			t.Errorf("%v: %d %s", args, code, &errs)
		}
	}
}
