package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/quic-go/quic-go"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"
)

// Peers that the benchmark brings along, from libraries.

// runWireguard is wireguard-go: device NAME with its configuration socket, in the
// foreground. The lab calls it by that name, "wireguard-go -f NAME".
func runWireguard(args []string) error {
	if len(args) != 2 || args[0] != "-f" {
		return errors.New("usage: wireguard-go -f NAME")
	}
	name := args[1]
	t, err := tun.CreateTUN(name, device.DefaultMTU)
	if err != nil {
		return err
	}
	file, err := ipc.UAPIOpen(name)
	if err != nil {
		return err
	}
	d := device.NewDevice(t, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, name+": "))
	defer d.Close()
	l, err := ipc.UAPIListen(name, file)
	if err != nil {
		return err
	}
	defer func() { _ = l.Close() }()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go d.IpcHandle(c)
		}
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	select {
	case <-ctx.Done():
	case <-d.Wait():
	}
	return nil
}

// A TCP connection is a QUIC stream between two forwarders, as in kcptun. The
// windows are wide enough for every link of the grid.
const (
	quicPort   = 4433
	quicName   = "totg-bench"
	quicWindow = 32 << 20 // bytes
)

func quicConfig() *quic.Config {
	return &quic.Config{
		HandshakeIdleTimeout: 30 * time.Second, MaxIdleTimeout: time.Minute, KeepAlivePeriod: 5 * time.Second,
		InitialStreamReceiveWindow: quicWindow, MaxStreamReceiveWindow: quicWindow,
		InitialConnectionReceiveWindow: quicWindow, MaxConnectionReceiveWindow: quicWindow,
	}
}

// runQUICServer forwards streams to a TCP port of this host.
func runQUICServer() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	l, err := quic.ListenAddr(fmt.Sprintf(":%d", quicPort), &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}, NextProtos: []string{quicName},
	}, quicConfig())
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept(context.Background())
		if err != nil {
			return err
		}
		go func() {
			for {
				stream, err := c.AcceptStream(context.Background())
				if err != nil {
					return
				}
				go func() {
					local, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
					if err != nil {
						stream.CancelWrite(1)
						return
					}
					splice(local, stream)
				}()
			}
		}()
	}
}

// runQUICClient accepts TCP connections and opens a stream for each.
func runQUICClient(server string) error {
	c, err := quic.DialAddr(context.Background(), fmt.Sprintf("%s:%d", server, quicPort),
		&tls.Config{InsecureSkipVerify: true, NextProtos: []string{quicName}}, quicConfig()) // a measurement, no secret
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	for {
		local, err := l.Accept()
		if err != nil {
			return err
		}
		stream, err := c.OpenStreamSync(context.Background())
		if err != nil {
			return err
		}
		go splice(local, stream)
	}
}

func splice(local net.Conn, stream *quic.Stream) {
	defer func() { _ = local.Close() }()
	go func() {
		_, _ = io.Copy(stream, local) // either end may go first
		_ = stream.Close()
	}()
	_, _ = io.Copy(local, stream)
	stream.CancelRead(0)
	stream.CancelWrite(0)
}
