// Command bom writes what a Go program is made of, read from the program itself, as a CycloneDX bill of materials:
//
//	go run ./packaging/bom PROGRAM FILE
package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"os"
	"runtime/debug"
)

type bom struct {
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Type       string     `json:"type"`
	Ref        string     `json:"bom-ref"`
	Name       string     `json:"name"`
	Version    string     `json:"version"`
	PURL       string     `json:"purl"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func main() {
	if len(os.Args) != 3 {
		panic("bom PROGRAM FILE")
	}
	info, err := buildinfo.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	text, err := json.MarshalIndent(describe(info), "", "  ")
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(os.Args[2], append(text, '\n'), 0o644); err != nil {
		panic(err)
	}
}

// describe says nothing about the moment or the place: the same program has the same bill.
func describe(info *debug.BuildInfo) bom {
	out := bom{Format: "CycloneDX", Spec: "1.6", Version: 1}
	out.Metadata.Component = module("application", &info.Main)
	for _, s := range info.Settings {
		out.Metadata.Component.Properties = append(out.Metadata.Component.Properties, property{"go:build:" + s.Key, s.Value})
	}
	out.Components = append(out.Components, module("library", &debug.Module{Path: "std", Version: info.GoVersion}))
	for _, dep := range info.Deps {
		if dep.Replace != nil {
			dep = dep.Replace
		}
		out.Components = append(out.Components, module("library", dep))
	}
	return out
}

func module(kind string, m *debug.Module) component {
	purl := fmt.Sprintf("pkg:golang/%s@%s", m.Path, m.Version)
	c := component{Type: kind, Ref: purl, Name: m.Path, Version: m.Version, PURL: purl}
	if m.Sum != "" {
		c.Properties = []property{{"go:sum", m.Sum}}
	}
	return c
}
