package tunnel

import (
	"testing"

	"github.com/totg/totg/tunnel/tun/netnstest"
)

func TestMain(m *testing.M) { netnstest.Main(m) }
