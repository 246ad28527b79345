package lab

import (
	"encoding/json"
	"os"
	"strings"
	"time"
)

// Report is the figures of one run, for programs.
type Report struct {
	Peer           string       `json:"peer"` // what the command was run through
	ExitCode       int          `json:"exit_code"`
	Error          string       `json:"error,omitempty"`      // why there was no run
	SetupSeconds   float64      `json:"setup_seconds"`        // until the first packet had gone through and back
	CommandSeconds float64      `json:"command_seconds"`      //
	CPUSeconds     [2]float64   `json:"cpu_seconds"`          // of the peer's programs in hosts A and B
	CommandsCPU    [2]float64   `json:"commands_cpu_seconds"` // of the background commands
	EmulatorCPU    float64      `json:"emulator_cpu_seconds"` // of the emulated link
	Up             WireReport   `json:"up"`                   // from A to B
	Down           WireReport   `json:"down"`                 //
	Hosts          []hostStatus `json:"tunnel,omitempty"`     // what the tunnel tells of itself
}

// WireReport is what one direction of the link did. Bytes are of IP.
type WireReport struct {
	Sent           uint64  `json:"sent"`
	SentBytes      uint64  `json:"sent_bytes"`
	QueueDropped   uint64  `json:"queue_dropped"`
	Lost           uint64  `json:"lost"`
	Delivered      uint64  `json:"delivered"`
	DeliveredBytes uint64  `json:"delivered_bytes"`
	Missed         uint64  `json:"missed"` // packets that never reached the emulator
	LateP50        float64 `json:"late_p50_seconds"`
	LateP99        float64 `json:"late_p99_seconds"`
	LateMax        float64 `json:"late_max_seconds"`
}

// fill takes the figures of a world that was closed.
func (r *Report) fill(w *world, cpu [2]time.Duration, commands []*child) {
	for i, d := range cpu {
		r.CPUSeconds[i] = d.Seconds()
	}
	for _, c := range commands {
		r.CommandsCPU[strings.Index("ab", c.name)] += c.cpu().Seconds()
	}
	if w.wire == nil {
		return
	}
	up, down := w.wire.stats()
	r.Up, r.Down = up.report(w.drops[0]), down.report(w.drops[1])
	r.EmulatorCPU = (up.CPU + down.CPU).Seconds()
}

func (w *Wire) report(missed uint64) WireReport {
	return WireReport{
		Sent: w.Sent, SentBytes: w.SentBytes, QueueDropped: w.QueueDropped + w.Policed, Lost: w.Lost + w.OutageLost,
		Delivered: w.Delivered, DeliveredBytes: w.DeliveredBytes, Missed: missed,
		LateP50: w.Late.Quantile(0.5).Seconds(), LateP99: w.Late.Quantile(0.99).Seconds(), LateMax: w.Late.Max.Seconds(),
	}
}

// writeReport writes all runs to a file, "" for none.
func writeReport(name string, all []Report) error {
	if name == "" {
		return nil
	}
	b, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(name, append(b, '\n'), 0o644)
}
