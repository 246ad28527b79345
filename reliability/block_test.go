package reliability

import (
	"bytes"
	"testing"

	"github.com/totg/totg/reliability/rlc"
)

// buffers are used again, and a symbol that is shorter than the one before it has
// zeros behind it all the same, which repairs add up.
func TestCommitPads(t *testing.T) {
	s := newBlockStore()
	s.pool = append(s.pool, bytes.Repeat([]byte{0xa5}, rlc.BufferLen))
	const size, read = 100, 128 // up to the next multiple of 64 bytes
	y := s.commit(0, newSymbol{size: size, limit: 2})
	coded := s.block(y.block).symbols[y.index].coded
	if len(coded) != size+rlc.MarkerLen || !bytes.Equal(coded[len(coded):read], make([]byte, read-len(coded))) {
		t.Errorf("behind %d bytes: %x", len(coded), coded[len(coded):read])
	}
}
