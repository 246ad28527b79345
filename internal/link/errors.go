package link

import "errors"

// Sentinels: every error of this package wraps one of them.
var (
	ErrConfig = errors.New("link")        // a Config that cannot be built; the text names the field
	ErrParse  = errors.New("cannot read") // a rate, size, queue or percentage that is no such thing
)
