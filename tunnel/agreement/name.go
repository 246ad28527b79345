package agreement

import (
	"path"
	"strings"
)

// nameChars are the characters of names: what neither a shell nor a log takes
// for something else.
const nameChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:@+-"

// ValidName reports whether a text can name an action: 1 to MaxName letters,
// digits, and "_.:@+-", not with "-" or "." in front.
func ValidName(name string) bool {
	return name != "" && len(name) <= MaxName && strings.Trim(name, nameChars) == "" && !strings.ContainsAny(name[:1], "-.")
}

// ValidPattern reports whether a text can be a pattern of names: a name in which
// "*" stands for any characters, none included.
func ValidPattern(pattern string) bool {
	return pattern != "" && len(pattern) <= MaxName && strings.Trim(pattern, nameChars+"*") == ""
}

// matches reports whether one of the patterns matches a name.
func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if ok, err := path.Match(p, name); ok && err == nil {
			return true
		}
	}
	return false
}
