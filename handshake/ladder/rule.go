package ladder

import "time"

// Rule is how a party decides.
type Rule uint8

const (
	// VoteOnce is the rule of X-4, the only one that is safe.
	VoteOnce Rule = iota
	// Paper4 is the four-phase protocol of the paper (section 3, algorithm 1):
	// commit on the own Q, abort in silence at the deadline. UNSAFE: it splits.
	// For the simulator alone, so that anyone can see it.
	Paper4
	// Paper6 is the paper's Full Solve (section 5.3, algorithm 2): commit on
	// the peer's V, abort in silence at the deadline, even after the own V.
	// UNSAFE: it splits. For the simulator alone.
	Paper6
)

// top is the highest level that is signed without a decision.
func (r Rule) top() Level {
	switch r {
	case VoteOnce:
		return LevelQC
	case Paper4:
		return LevelQ
	case Paper6:
	}
	return LevelV
}

// decideAsPaper commits as the paper's rules do.
func (m *Machine) decideAsPaper() {
	if m.stage != StageBegun {
		return
	}
	if m.rule == Paper4 && m.own.level >= LevelQ || m.rule == Paper6 && m.own.level == LevelV && m.peer.level == LevelV {
		m.end(StageJoined, EventCommitted)
	}
}

// expire aborts as the paper's rules do: at the deadline, whatever was signed,
// and without a word to the peer.
func (m *Machine) expire() {
	if m.stage == StageBegun {
		m.quiet = true
		m.end(StageRefused, EventAborted)
	}
}

// end decides without a record: the paper knows of no restart.
func (m *Machine) end(s Stage, e Event) {
	m.stage, m.stable = s, s
	m.deadline = time.Time{}
	m.decided(e)
}
