//go:build goexperiment.runtimesecret

package forget

import "runtime/secret"

// Clears says which build this is.
const Clears = true

// Do runs f, and clears what it has left on the stack when it returns, and what it has left in the heap when that is freed. It does not
// reach into goroutines that f starts.
func Do(f func()) { secret.Do(f) }
