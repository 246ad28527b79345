package lab

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// A capture is a pcapng file of both wires: interface 0 is host A's end, 1 is host
// B's. A packet that crosses the link is in it twice, one that is lost once.
// Format: draft-ietf-opsawg-pcapng.
//
// The emulator's threads only append to memory and never wait. A goroutine merges
// what they hand over by time and writes it.
type capture struct {
	file  *os.File
	out   *bufio.Writer
	tapes [2]*tape
	done  sync.WaitGroup
	err   error
}

const (
	tapeSize  = 256 << 10 // bytes that a tape collects before it hands them over
	tapeParts = 64        // that may wait to be written, of each direction
	tapeTime  = 200 * time.Millisecond

	blockHeader = 28 // of a pcapng packet block, before the data
	blockEnd    = 4
	etherHeader = 14
)

// tape belongs to the thread of one direction.
type tape struct {
	to      byte // where its packets go: 0 for host A
	part    tapePart
	began   time.Time // of part
	full    chan tapePart
	free    chan []byte // what was written
	dropped uint64      // packets that the disk was too slow for
	count   uint64      // packets in part
}

// tapePart is encoded packets in the order of their times, and a time before which
// no more of this tape follow.
type tapePart struct {
	blocks []byte
	whole  []byte // the memory of blocks
	until  time.Time
}

// newCapture makes the file. Its tapes are for up and down.
func newCapture(path string) (*capture, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCapture, err)
	}
	c := &capture{file: file, out: bufio.NewWriterSize(file, tapeSize)}
	_, err = c.out.Write(captureHead()) // an error shows again at the end
	for i := range c.tapes {
		c.tapes[i] = &tape{to: byte(1 - i), full: make(chan tapePart, tapeParts), free: make(chan []byte, tapeParts)}
	}
	c.err = err
	c.done.Go(c.merge)
	return c, nil
}

// captureHead is the section header and the two interfaces, with nanoseconds.
func captureHead() []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(nil, 0x0a0d0d0a)
	b = le.AppendUint32(b, 28)
	b = le.AppendUint32(b, 0x1a2b3c4d)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint64(b, ^uint64(0)) // length of the section: not said
	b = le.AppendUint32(b, 28)
	for _, name := range []string{"A", "B"} {
		const size = 20 + 8 + 8 + 4
		b = le.AppendUint32(b, 1)
		b = le.AppendUint32(b, size)
		b = le.AppendUint16(b, 1) // LINKTYPE_ETHERNET
		b = le.AppendUint16(b, 0)
		b = le.AppendUint32(b, 0)             // no snapshot length
		b = append(b, 2, 0, 1, 0)             // if_name
		b = append(b, name[0], 0, 0, 0)       //
		b = append(b, 9, 0, 1, 0, 9, 0, 0, 0) // if_tsresol: 10^-9 s
		b = append(b, 0, 0, 0, 0)             // end of options
		b = le.AppendUint32(b, size)
	}
	return b
}

// add records a packet at one end, 0 for A. The times of a tape do not decrease.
// A nil tape records nothing.
func (t *tape) add(end uint32, now time.Time, packet []byte) {
	if t == nil {
		return
	}
	t.flush(now)
	le := binary.LittleEndian
	length := uint32(etherHeader + len(packet))
	pad := -length & 3
	size := blockHeader + length + pad + blockEnd
	ns := uint64(now.UnixNano())
	b := le.AppendUint32(t.part.blocks, 6)
	b = le.AppendUint32(b, size)
	b = le.AppendUint32(b, end)
	b = le.AppendUint32(b, uint32(ns>>32))
	b = le.AppendUint32(b, uint32(ns))
	b = le.AppendUint32(b, length)
	b = le.AppendUint32(b, length)
	b = appendEther(b, t.to, packet)
	b = append(b, packet...)
	b = append(b, make([]byte, pad)...)
	t.part.blocks = le.AppendUint32(b, size)
	t.count++
}

// appendEther appends the header of a packet to host A (0) or B.
func appendEther(b []byte, to byte, packet []byte) []byte {
	b = append(b, 2, 0, 0, 0, 0, 0xa+to, 2, 0, 0, 0, 0, 0xb-to)
	if len(packet) > 0 && packet[0]>>4 == 6 {
		return append(b, 0x86, 0xdd)
	}
	return append(b, 0x08, 0x00)
}

// flush hands over what is there if it is much or old.
func (t *tape) flush(now time.Time) {
	if t == nil || len(t.part.blocks) < tapeSize-2048 && now.Sub(t.began) < tapeTime {
		return
	}
	t.part.until, t.part.whole = now, t.part.blocks
	next := t.part.blocks[:0]
	select {
	case t.full <- t.part:
		select {
		case next = <-t.free:
		default:
			next = make([]byte, 0, tapeSize)
		}
	default:
		t.dropped += t.count
	}
	t.part, t.began, t.count = tapePart{blocks: next[:0]}, now, 0
}

// merge writes the parts of both tapes in the order of time until both end.
func (c *capture) merge() {
	var have [2]tapePart
	open := [2]bool{true, true}
	for {
		for i := range have {
			for open[i] && len(have[i].blocks) == 0 && (!open[1-i] || !have[i].until.After(have[1-i].until)) {
				select { // the memory that is empty now
				case c.tapes[i].free <- have[i].whole:
				default:
				}
				var part tapePart
				if part, open[i] = <-c.tapes[i].full; open[i] {
					have[i] = part
				}
			}
		}
		i, ok := earlier(have, open)
		if !ok {
			if !open[0] && !open[1] {
				return
			}
			continue
		}
		size := binary.LittleEndian.Uint32(have[i].blocks[4:])
		if _, err := c.out.Write(have[i].blocks[:size]); err != nil && c.err == nil {
			c.err = err
		}
		have[i].blocks = have[i].blocks[size:]
	}
}

// earlier is the tape whose next packet is to be written, if that can be said.
func earlier(have [2]tapePart, open [2]bool) (int, bool) {
	var at [2]int64
	for i := range have {
		b := have[i].blocks
		switch {
		case len(b) > 0:
			at[i] = int64(uint64(binary.LittleEndian.Uint32(b[12:]))<<32 | uint64(binary.LittleEndian.Uint32(b[16:])))
		case open[i]:
			at[i] = have[i].until.UnixNano()
		default:
			at[i] = 1<<63 - 1
		}
	}
	i := 0
	if at[1] < at[0] {
		i = 1
	}
	return i, len(have[i].blocks) > 0
}

// close ends the file after the emulator has stopped, and returns how many packets
// are missing.
func (c *capture) close() (missing uint64, err error) {
	for _, t := range c.tapes {
		t.part.until = wallClock()
		t.full <- t.part
		close(t.full)
	}
	c.done.Wait()
	err = errors.Join(c.err, c.out.Flush(), c.file.Close())
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrCapture, err)
	}
	return c.tapes[0].dropped + c.tapes[1].dropped, err
}
