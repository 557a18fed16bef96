module sim

go 1.26.0

// What the binary is made of.
require (
	filippo.io/age v1.3.2 // a backup is encrypted under a passphrase
	filippo.io/bigmod v0.1.0 // constant-time modular arithmetic for SRP: the standard library has none that is public
	github.com/ccojocar/zxcvbn-go v1.0.4 // how strong a password is
	github.com/prometheus/client_golang v1.25.0 // `sim server --metrics`
	github.com/rivo/uniseg v0.4.7 // characters as people count them, and their widths on a terminal
	github.com/urfave/cli/v2 v2.27.7 // the command line
	go.etcd.io/bbolt v1.5.0 // the database file
	golang.org/x/crypto v0.58.0 // Argon2id
	golang.org/x/sys v0.49.0 // who is at the other end of the admin socket
	golang.org/x/term v0.47.0 // raw terminals, their size, and passwords without echo
	golang.org/x/text v0.43.0 // passwords as RFC 8265 prepares them
)

// What the tests are made of.
require (
	github.com/creack/pty v1.1.24 // the client on a terminal
	github.com/rogpeppe/go-internal v1.16.0 // testscript: the stories in testdata/script
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // whether what `sim client --json` says is what docs/client.schema.json says
)

require (
	filippo.io/hpke v0.4.0 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/cpuguy83/go-md2man/v2 v2.0.7 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/russross/blackfriday/v2 v2.1.0 // indirect
	github.com/xrash/smetrics v0.0.0-20240521201337-686a1a2994c1 // indirect
	golang.org/x/tools v0.51.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
