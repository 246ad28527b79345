package ladder

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/totg/totg/handshake"
	"github.com/totg/totg/internal/wire"
)

// A record is what a party must not forget, for a log that outlives the process
//
//
//	+---------+-------+---------+----------+---------+-----+-------------+-----+--------------+--------+
//	| version | stage | own key | peer key | session | n   | own message | k   | peer message | sum    |
//	| u8, 1   | u8    | 32 B    | 32 B     | 32 B    | u16 | n B         | u16 | k B, or none | 16 B   |
//	+---------+-------+---------+----------+---------+-----+-------------+-----+--------------+--------+
//	 own message: C while this party has not voted, V after that
//	 peer message: what the vote and the decision stand on; with ABORT if this party was overruled
//	 sum: SHA-256 of all before it, cut to 16 bytes, against a disk that errs
const (
	recordVersion = 1
	recordSum     = 16
	recordFixed   = 1 + 1 + 2*handshake.KeyLen + SessionLen + 2 + 2
)

// Record is the record of the present stage, for OnStable. At most MaxRecord
// bytes.
func (m *Machine) Record() (Stage, []byte) {
	own := Message{Action: m.action, Params: m.params, Nonce: m.own.nonce, Level: LevelC, Sigs: m.own.sigs}
	var peer []byte
	if m.own.level == LevelV {
		own.Level = LevelV
		msg := Message{
			Action: m.action, Params: m.params, Nonce: m.peer.nonce, Level: m.peer.level, Sigs: m.peer.sigs,
		}
		if m.peer.aborted {
			msg.Abort = &m.peer.abort
		}
		peer = msg.Append(nil)
	}
	mine := own.Append(nil)
	public := m.private.Public()
	b := append([]byte{recordVersion, byte(m.stage)}, public[:]...)
	b = append(b, m.remote[:]...)
	b = append(b, m.session[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(mine)))
	b = append(b, mine...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(peer)))
	b = append(b, peer...)
	sum := sha256.Sum256(b)
	return m.stage, append(b, sum[:recordSum]...)
}

// parsedRecord is a record before its signatures were checked.
type parsedRecord struct {
	stage       Stage
	own, remote handshake.PublicKey
	session     [SessionLen]byte
	mine        Message
	peer        *Message // nil: none
}

func parseRecord(b []byte) (parsedRecord, error) {
	if len(b) < recordFixed+recordSum || len(b) > MaxRecord {
		return parsedRecord{}, ErrRecord
	}
	body, tail := b[:len(b)-recordSum], b[len(b)-recordSum:]
	if sum := sha256.Sum256(body); !bytes.Equal(sum[:recordSum], tail) {
		return parsedRecord{}, ErrRecord
	}
	r := wire.NewReader(body)
	version := r.U8()
	p := parsedRecord{stage: Stage(r.U8())}
	copy(p.own[:], r.Bytes(handshake.KeyLen))
	copy(p.remote[:], r.Bytes(handshake.KeyLen))
	copy(p.session[:], r.Bytes(SessionLen))
	mine, peer := r.Bytes(int(r.U16())), r.Bytes(int(r.U16()))
	if r.Done() != nil || version != recordVersion || p.stage < StageBegun || p.stage > StageOverruled {
		return parsedRecord{}, ErrRecord
	}
	var err error
	if p.mine, err = Parse(mine); err != nil {
		return parsedRecord{}, ErrRecord
	}
	if len(peer) > 0 {
		msg, err := Parse(peer)
		if err != nil {
			return parsedRecord{}, ErrRecord
		}
		p.peer = &msg
	}
	return p, nil
}

// RestoreConfig is what a record does not hold.
type RestoreConfig struct {
	Private handshake.PrivateKey
	Rand    *rand.Rand // for the jitter of the flood
}

// Restore takes up an action after a restart, with the latest record of it. A
// party that had not voted refuses: it cannot know what it promised below its
// vote (presumed abort). One that had is in doubt, as before, and asks its peer
// . One that had decided tells it again and answers. The caller checks
// that Remote is still a peer.
//
// The errors are ErrNoKey and ErrNoRand, ErrRecordKey, and ErrRecord, also where
// a signature in the record is wrong.
func Restore(now time.Time, cfg RestoreConfig, record []byte) (*Machine, error) {
	r, err := parseRecord(record)
	switch {
	case err != nil:
		return nil, err
	case cfg.Private.IsZero():
		return nil, ErrNoKey
	case cfg.Rand == nil:
		return nil, ErrNoRand
	case cfg.Private.Public() != r.own:
		return nil, ErrRecordKey
	}
	m, err := New(now, Config{
		Private: cfg.Private, Remote: r.remote, Session: r.session, Nonce: r.mine.Nonce,
		Action: r.mine.Action, Params: r.mine.Params, Rand: cfg.Rand,
	})
	if err != nil {
		return nil, ErrRecord // it was made by New once
	}
	if !m.resume(&r, record) {
		return nil, ErrRecord
	}
	return m, nil
}

// resume brings a new Machine to the stage of r, and reports whether r holds
// what that stage needs and nothing else: a Machine at that stage writes record.
func (m *Machine) resume(r *parsedRecord, record []byte) bool {
	voted := r.stage == StageVoted || r.stage == StageJoined || r.stage == StageOverruled
	if voted {
		if r.peer == nil {
			return false
		}
		next, drop := m.read(r.peer)
		if drop != DropNone || next.peer.level < LevelQC {
			return false
		}
		m.pair = next
		m.own.climbTo(LevelV, m.sign(&m.pair, byte(LevelV)))
		if (r.stage == StageJoined) != (m.peer.level == LevelV) || (r.stage == StageOverruled) != m.peer.aborted {
			return false
		}
	}
	m.stage = r.stage
	if _, again := m.Record(); !bytes.Equal(again, record) {
		return false
	}
	m.events = [numEvents]bool{}
	m.OnStable(m.now, r.stage)
	switch r.stage {
	case StageBegun:
		m.enter(StageRefused)
	case StageVoted:
		m.events[EventInDoubt] = true
	case StageNone, StageRefused, StageJoined, StageOverruled:
	}
	if m.peer.aborted {
		m.learn()
	}
	return true
}
