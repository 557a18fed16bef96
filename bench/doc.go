// Command bench measures what the relay costs, beside others that do the same, and beside two floors that do less:
//
//	cd bench && go run .                    all that is measured, in two minutes (15 s more for each server that is there beside NATS): a table, and bench.svg
//	cd bench && go run . -only sim,nats     two of them
//	cd bench && go run . -h                 the flags
//	bench/compare ./proto/...               benchmarks of the working tree against the last commit
//
// Every server is a process of its own, and what it costs is what the operating system says that it used. All of them run from the beginning
// to the end and are measured in turns, so that what else the machine does befalls all alike. Only ratios within one run mean something.
//
// The clients are all in this process. Those of sim use the protocol's own packages: they solve the puzzle, log in with SRP, open
// conversations through the server's tickets, and encrypt every text end to end. Only Argon2id is left out, except where it is measured.
package main
