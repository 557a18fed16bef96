// Package password turns what a person typed into bytes: it takes the line,
// prepares the text, refuses what is easy to guess, and derives with Argon2id.
// Nothing else in the program interprets a password, so all of its parts agree
// on what one is.
//
// The order is Read or FirstLine, then Prepare, then CheckStrength where a
// password is set (never where one is used), then Deriver.Derive. No error of
// this package contains a password or a part of one.
//
// Clearing the slices is the caller's: each returned slice is fresh and has one
// owner. The strength check and the Unicode tables work on strings, which Go
// can't clear; erasure is best effort.
package password
