package ladder

import "strconv"

// Level is how far a party has climbed: the highest artifact that it signed
// . Each stands for all below it.
type Level uint8

// The levels. Q and QC are signed together, as the paper says (section 5.1).
const (
	LevelNone Level = iota
	LevelC          // commitment: action, parameters, identities, nonce, session
	LevelD          // both C
	LevelT          // both D
	LevelQ          // both T
	LevelQC         // its own Q: "I have Q"
	LevelV          // both QC: the vote, Q_CONF_FINAL in the paper
)

// String is the name of the level.
func (l Level) String() string {
	names := [...]string{"none", "C", "D", "T", "Q", "QC", "V"}
	if int(l) < len(names) {
		return names[l]
	}
	return "level " + strconv.Itoa(int(l))
}

// domainAbort takes the place of a level in what ABORT signs.
const domainAbort = byte(LevelV) + 1

// reach is the highest level that can be signed by who has the peer's
// artifacts up to l.
func (l Level) reach() Level {
	switch {
	case l >= LevelQC:
		return LevelV
	case l >= LevelT:
		return LevelQC // QC needs only the own Q
	}
	return l + 1
}
