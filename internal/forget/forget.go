//go:build !goexperiment.runtimesecret

// Package forget runs what handles keys. In a build with GOEXPERIMENT=runtimesecret, on Linux, the runtime then clears what it has left of
// them: the stack, and memory when the garbage collector frees it; in every other build nothing is different. docs/SECURITY.md says what
// that means.
package forget

// Clears says which build this is.
const Clears = false

// Do runs f.
func Do(f func()) { f() }
