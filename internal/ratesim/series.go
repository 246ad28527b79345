package main

import "time"

// The state is sampled each sampleTime and kept in bins of binTime.
const (
	sampleTime = 5 * time.Millisecond
	binTime    = 100 * time.Millisecond
)

// bin is what happened in one binTime. Rates are in bytes, delays in seconds.
type bin struct {
	served    float64   // by the bottleneck
	capacity  float64   // that it had
	sent      []float64 // by host
	delivered []float64
	queue     float64 // mean
	target    float64
	samples   int
}

// series is what a run recorded.
type series struct {
	bins       []bin
	accepted   int // bytes that the queue took so far
	lastServed int
	queues     []float32 // each sample
}

// instant is one sample of the bottleneck.
type instant struct {
	served        int     // bytes so far
	capacity      float64 // bit/s
	queue, target float64 // seconds
}

func newSeries(d time.Duration, hosts int) series {
	s := series{bins: make([]bin, d/binTime+2)}
	for i := range s.bins {
		s.bins[i].sent = make([]float64, hosts)
		s.bins[i].delivered = make([]float64, hosts)
	}
	return s
}

func (s *series) at(now time.Duration) *bin { return &s.bins[min(int(now/binTime), len(s.bins)-1)] }

func (s *series) sent(now time.Duration, host, n int) { s.at(now).sent[host] += float64(n) }

func (s *series) delivered(now time.Duration, host, n int) { s.at(now).delivered[host] += float64(n) }

func (s *series) sample(now time.Duration, i instant) {
	b := s.at(now - 1)
	b.served += float64(i.served - s.lastServed)
	s.lastServed = i.served
	b.capacity += i.capacity / 8 * sampleTime.Seconds()
	b.samples++
	b.queue += (i.queue - b.queue) / float64(b.samples)
	b.target += (i.target - b.target) / float64(b.samples)
	s.queues = append(s.queues, float32(i.queue))
}

// window sums the bins between two times.
func (s *series) window(from, to time.Duration) bin {
	sum := bin{sent: make([]float64, len(s.bins[0].sent)), delivered: make([]float64, len(s.bins[0].sent))}
	for i := int(from / binTime); i < int(to/binTime); i++ {
		b := &s.bins[i]
		sum.served += b.served
		sum.capacity += b.capacity
		sum.queue += b.queue
		sum.target += b.target
		sum.samples++
		for h := range b.sent {
			sum.sent[h] += b.sent[h]
			sum.delivered[h] += b.delivered[h]
		}
	}
	if sum.samples > 0 {
		sum.queue /= float64(sum.samples)
		sum.target /= float64(sum.samples)
	}
	return sum
}
