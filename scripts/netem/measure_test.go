package netem_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The traffic of a measurement, from host A to host B.
const (
	streamPackets  = 3000 // small packets, evenly spaced: loss and delay
	streamSize     = 100  // bytes of IP
	streamInterval = 2 * time.Millisecond
	maxCatchUp     = 10 * time.Millisecond

	trains      = 15 // short bursts of full packets that fit the queue: rate
	trainLength = 25

	floods      = 2 // long bursts that do not fit: the queue
	floodLength = 120

	fullSize = 1500 // bytes of IP
	pause    = 150 * time.Millisecond

	headers = 28 // IPv4 and UDP
)

// measurement is what was sent and what arrived, in the order of sending.
// Nanoseconds of one clock; zero for what did not arrive.
type measurement struct {
	Sent, Got []int64
}

func packetSize(i int) int {
	if i < streamPackets {
		return streamSize
	}
	return fullSize
}

// printMeasurement runs on host A of a lab or of two-hosts.sh; its environment says
// where host B is.
func printMeasurement() error {
	to, err := net.ResolveUDPAddr("udp4", os.Getenv("TOTG_DIRECT")+":9")
	if err != nil {
		return err
	}
	receiver, err := listenIn(os.Getenv("TOTG_NETNS_B"))
	if err != nil {
		return err
	}
	to.Port = receiver.LocalAddr().(*net.UDPAddr).Port
	sender, err := net.DialUDP("udp4", nil, to)
	if err != nil {
		return err
	}
	total := streamPackets + trains*trainLength + floods*floodLength
	m := measurement{make([]int64, total), make([]int64, total)}
	start := time.Now()
	var done sync.WaitGroup
	done.Go(func() { receive(receiver, start, m.Got) })

	warm(sender)
	next := 0
	buf := make([]byte, fullSize)
	send := func() error {
		binary.BigEndian.PutUint32(buf, uint32(next))
		m.Sent[next] = int64(time.Since(start))
		_, err := sender.Write(buf[:packetSize(next)-headers])
		next++
		return err
	}
	due := time.Now()
	for range streamPackets {
		// What a busy machine has missed comes in short bursts: long ones would meet
		// the queue, which netem counts in packets and the model in bytes.
		due = due.Add(streamInterval)
		if late := time.Since(due); late > maxCatchUp {
			due = due.Add(late - maxCatchUp)
		}
		time.Sleep(time.Until(due))
		err = errors.Join(err, send())
	}
	for _, burst := range []struct{ count, length int }{{trains, trainLength}, {floods, floodLength}} {
		for range burst.count {
			time.Sleep(pause)
			for range burst.length {
				err = errors.Join(err, send())
			}
		}
	}
	time.Sleep(2 * pause)
	_ = receiver.Close()
	done.Wait()
	if err != nil {
		return err
	}
	return printJSON(m)
}

// warm lets the hosts find each other, and the kernel its code.
func warm(c *net.UDPConn) {
	for range 20 {
		_, _ = c.Write([]byte{0xff, 0xff, 0xff, 0xff})
		time.Sleep(20 * time.Millisecond)
	}
}

func receive(c *net.UDPConn, start time.Time, got []int64) {
	buf := make([]byte, fullSize)
	for {
		n, err := c.Read(buf)
		if err != nil {
			return // closed
		}
		if i := binary.BigEndian.Uint32(buf); n >= 4 && int(i) < len(got) {
			got[i] = int64(time.Since(start))
		}
	}
}

// listenIn opens a socket inside another network namespace.
func listenIn(ns string) (c *net.UDPConn, err error) {
	err = within(ns, func() error {
		lc := net.ListenConfig{}
		pc, err := lc.ListenPacket(context.Background(), "udp4", "0.0.0.0:0")
		if err == nil {
			c = pc.(*net.UDPConn)
			err = c.SetReadBuffer(4 << 20)
		}
		return err
	})
	return c, err
}

// within runs f on a thread of that network namespace.
func within(ns string, f func() error) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		errc <- func() error {
			file, err := os.Open(ns)
			if err != nil {
				return err
			}
			defer func() { _ = file.Close() }()
			if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			return f()
		}()
	}()
	return <-errc
}
