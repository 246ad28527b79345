// Package netem carries the link profiles that the lab, the tests and the
// benchmarks share. It holds one file, profiles.toml, and no code.
package netem

import _ "embed" // profiles.toml

// Profiles is the text of profiles.toml.
//
//go:embed profiles.toml
var Profiles []byte
