package main

import (
	"debug/buildinfo"
	"os"
	"slices"
	"testing"
)

// The bill of this test names the program, the toolchain, and each module that was linked.
func TestDescribe(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := buildinfo.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	info.Deps = append(info.Deps, &info.Main)
	b := describe(info)
	if len(b.Components) != 1+len(info.Deps) || b.Components[0].Name != "std" || b.Components[0].Version != info.GoVersion {
		t.Errorf("%+v", b.Components)
	}
	if !slices.ContainsFunc(b.Components, func(c component) bool { return c.Type == "library" && c.Name == info.Main.Path && c.PURL != "" }) {
		t.Errorf("a dependency is missing: %+v", b.Components)
	}
	if b.Metadata.Component.Type != "application" || b.Metadata.Component.Name != "sim" {
		t.Errorf("%+v", b.Metadata.Component)
	}
}
