package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/totg/totg/reliability/rate"
)

func main() {
	all := append(grid(), scenarios()...)
	pat := ""
	rate.Dbg = os.Getenv("DBG") != ""
	if len(os.Args) > 1 {
		pat = os.Args[1]
	}
	seedsMost := 1
	if len(os.Args) > 2 {
		fmt.Sscan(os.Args[2], &seedsMost)
	}
	var jobs []scenario
	for _, sc := range all {
		if !strings.Contains(sc.name, pat) {
			continue
		}
		for s := range sc.seeds(seedsMost) {
			x := sc
			x.seed = uint64(s + 1)
			if os.Getenv("SEED") != "" {
				fmt.Sscan(os.Getenv("SEED"), &x.seed)
			}
			jobs = append(jobs, x)
		}
	}
	out := make([]string, len(jobs))
	var wg sync.WaitGroup
	ch := make(chan int, len(jobs))
	for i := range jobs {
		ch <- i
	}
	close(ch)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range ch {
				t0 := time.Now()
				w, err := newWorld(jobs[i])
				if err != nil {
					panic(err)
				}
				if os.Getenv("TRACE") != "" {
					last := time.Duration(0)
					w.hosts[0].(*flow).trace = func(now time.Duration, s rate.Snapshot) {
						if now-last < 10*time.Millisecond {
							return
						}
						last = now
						c := w.hosts[0].(*flow).ctl
						fmt.Printf("%7.3f %-8v rate=%8.3f est=%8.3f q=%6.2f ahead=%6.2f q*=%5.2f jit=%5.2f loss=%.3f sh=%v rtt=%v base=%v Q=%.2f %s\n", now.Seconds(), s.Phase, float64(s.Rate)/1e6, float64(s.Estimate)/1e6, s.Queue.Seconds()*1e3, s.Ahead.Seconds()*1e3, s.Target.Seconds()*1e3, s.Jitter.Seconds()*1e3, s.Loss, s.Shallow, s.RTT, s.Base, float64(w.link.Stats().QueueBytes)*8/float64(w.link.Config().Rate)*1e3, c.Debug())
					}
				}
				if err := w.run(); err != nil {
					panic(err)
				}
				if os.Getenv("BINS") != "" {
					for i, b := range w.series.bins {
						if b.served < 0.9*b.capacity {
							fmt.Printf("bin %.1f busy %.2f q %.2f sent %.2f\n", float64(i)/10, b.served/b.capacity, b.queue*1e3, b.sent[0]/b.capacity)
						}
					}
				}
				f := w.figures()
				bad := ""
				for _, g := range jobs[i].gates {
					v := g.judge(&jobs[i], &f)
					if !v.Met {
						bad += fmt.Sprintf(" MISSED %s %.3f (%.3f)", v.Gate, v.Measured, v.Limit)
					}
				}
				out[i] = fmt.Sprintf("%-50s s%-2d busy %.3f q %6.2f p99 %6.2f q* %5.2f sent %.3f start %5.2f rec %.2f drop %.3f shares %.2f [%v]%s", jobs[i].name, jobs[i].seed, f.Busy, f.Queue, f.P99, f.Target, f.Sent, f.Start, f.Recover, f.Dropped, f.Shares, time.Since(t0).Round(10*time.Millisecond), bad)
			}
		})
	}
	wg.Wait()
	for _, s := range out {
		fmt.Println(s)
	}
}
