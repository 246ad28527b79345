package rate

import "time"

// Limits.
const (
	// MinRate and MaxRate bound every rate, in bit/s. A ceiling below MinRate
	// bounds it, too.
	MinRate = 64_000
	MaxRate = 100_000_000_000
	// MaxRecords bounds the records of datagrams that no report has spoken of:
	// 1 Gbit/s over 1.5 s. A power of two, as firstRecords.
	MaxRecords   = 1 << 17
	firstRecords = 1 << 8
	// historyLen is how many arrivals are kept: those of more than a round trip.
	historyLen = 512
	// maxEpochs bounds the epochs of one report.
	maxEpochs = 8
	// fullDatagram is the default size of a full datagram, in IP bytes.
	fullDatagram = 1500
)

// Epochs and round trips (W-5).
const (
	epochMin, epochMax = 5 * time.Millisecond, 50 * time.Millisecond
	// firstRTT stands for the round-trip time until one is measured; leastRTT
	// keeps control loops slower than timers.
	firstRTT, leastRTT = 100 * time.Millisecond, time.Millisecond
	// rttWindow is how long the least round-trip time is remembered.
	rttWindow = 10 * time.Second
	// baseWindow is how long the least one-way delay is remembered where at
	// least baseArrivals arrive in a second, at most baseStretch times as long
	// where fewer do: four drains leave some 60 ms without a queue, and about four
	// arrivals should fall into these. Two clocks drift by 2 ms in baseWindow
	// (100 ppm).
	// basePause is the longest time between two arrivals that ages it.
	basePause = time.Second
	// baseRivals is by how much it is longer beside others.
	baseRivals                            = 6
	baseWindow, baseArrivals, baseStretch = 20 * time.Second, 60, 10
)

// The delay target q* (G-2).
const (
	// targetAt1M is q* at 1 Mbit/s; it falls as rate^-1/4. The slower flow of
	// two thus wants more queue, which makes them equal.
	targetAt1M           = 24 * time.Millisecond
	targetMin, targetMax = 3 * time.Millisecond, 30 * time.Millisecond
	// targetDatagrams is the least q*, in full datagrams at the rate, and
	// targetJitter in units of the jitter, up to targetJitterMax.
	targetDatagrams = 2.5
	targetJitter    = 2.4
	// targetHello bounds what is added for jitter, in units of that of HELLO: a
	// few answers may show half of it.
	targetHello     = 4.8
	helloShare      = 4 // of q*: more jitter than that in HELLO is the path's,
	aloneShare      = 2 // or than that before bursts of STARTUP
	targetJitterMax = 40 * time.Millisecond
)

// The delay loop.
const (
	// queueMin and queueMax bound the window of the queue's measure, RTT/3.
	queueMin, queueMax = 10 * time.Millisecond, 40 * time.Millisecond
	loopMin            = 30 * time.Millisecond // least time constant
	gainMin, gainMax   = 0.4, 1.25             // of the rate over the estimate
	gainBlind          = 1.03                  // greatest one while nothing queues
	estimateGain       = 1.5                   // of the slope, per round trip
	estimateNoRise     = 1.3                   // times q*: the estimate does not rise above it
	estimateNoFall     = 0.7                   // times q*: nor does it fall below it where the path adds a delay of its own
	sparse             = 4                     // arrivals that a slope takes, whatever their age
	slopeWindow        = 40 * time.Millisecond // least window of a slope
	slopeJitter        = 6                     // least length of a slope, times the jitter
	wanderShare        = 4                     // the wander of q counts for that up to q* by this: others make it wander, too
	busyShare          = 0.25                  // of q*: above it the link is busy
	visibleShare       = 0.7                   // of q*: above it delay tells enough
	markedCut          = 0.15                  // of the estimate, per round trip with a mark: CUBIC's by RFC 8511
	// A queue above flatQueue times q* that moves by less than flatMin, flatShare
	// of it and flatJitter times the jitter while the rate is low is none.
	flatQueue, flatMin    = 2, time.Millisecond
	flatShare, flatJitter = 0.05, 1.5
	flatHello             = 3 // times the jitter that HELLO saw
	// A datagram that leaves by more than lateMin and a round trip by lateShare
	// after it was due follows an idle time.
	lateMin, lateShare = 5 * time.Millisecond, 8

	growStep, growRTTs   = 1.2, 1.5
	growPause            = 30 * time.Millisecond
	growSteps            = 5 // so many, then bursts look for the bottleneck
	growVerified         = 2 // times the rate that was verified last
	quietRTTs, quietTime = 2.5, 50 * time.Millisecond
)

// HELLO: small datagrams at helloFirst a second, doubled each helloDouble.
const (
	// SmallDatagram is the largest datagram of HELLO in IP bytes.
	SmallDatagram          = 100
	helloFirst, helloMost  = 200, 1000
	helloDouble            = 100 * time.Millisecond
	helloArrivals          = 8 // end it
	helloFew, helloFewRTTs = 3, 6
	helloFewTime           = 500 * time.Millisecond
)

// STARTUP.
const (
	startDatagrams                    = 40           // a round trip, at first,
	startMin, startMax, startMaxLossy = 64, 400, 200 // but so many a second
	startLossy                        = 0.8          // loss from which on startMaxLossy holds
	burstDatagrams                    = 16           // least burst
	burstLeast                        = 8            // full datagrams of a burst that show the bottleneck
	burstTime                         = 25 * time.Millisecond
	peakFactor, peakMin               = 8, 120e6 / 8
	roundGrowth                       = 4.0 // of the average, per round
	roundGrowthBlind                  = 2.0 // where arrivals are too few to tell more
	startNoise                        = time.Millisecond
	startPath                         = 1.5             // times the path's own jitter: what bursts see of it
	startSettle                       = 2 * time.Second // RUN finds what STARTUP missed for it
	startShare                        = 0.95            // of what dispersion shows
	startLoad                         = 0.8             // of what the link is known to carry
	startFlood                        = 0.7             // of what arrives at rates that are fine: less is a buffer that overflows
	startArrivals                     = 1
	// An application that paused within idleRTTs round trips limits itself: between
	// its bursts are no more than a round trip by idleShare. The slow start of an
	// inner TCP ends where its bursts wait for longer (HyStart, RFC 9406). Over a
	// path longer than atOnce even that is long: there it may send at once what TCP
	// would in slow start, slowStartFirst datagrams at first.
	idleRTTs, idleShare = 2, 4
	slowStartFirst      = 10
	// What an application sends at once counts as sent in a round trip, or in
	// atOnce: over a long path its bursts are far shorter than a round trip.
	atOnce = 100 * time.Millisecond
	// A round goes on until so many should have arrived, or for so many round trips.
	startExpected, startPatience = 24, 3
	startBursts                  = 128 // remembered
	// A queue that rose by standMin, or half a round trip where that is less, and
	// by standNoises times the noise, over standLength times the noise, shows
	// what the link carries.
	standMin                 = 30 * time.Millisecond
	standNoises, standLength = 4, 8
)

// Loss that comes with a higher rate.
const (
	excessLoss, excessSigmas, excessSent = 0.1, 4, 30
	excessArrivals                       = 12  // that there should be, for a verdict
	doubtSigmas                          = 2.5 // enough to be careful
	deliveredSigmas                      = 1   // of the share at low rates
	deliveredBound                       = 2   // times what is delivered, before the first verdict
)

// The elasticity ladder (G-2).
const (
	elastic            = 0.5 // delivered rate must rise by this share of the send rate's
	stepFirst          = 0.25
	stepMin, stepMax   = 0.05, 1.0
	stepVisible        = 0.1
	stepTaken          = 0.6 // of the step, to count as one
	judgeArrivals      = 20
	judgeNoise         = 32.0
	judgeTime          = 6 * time.Second
	moreSigmas         = 1.5  // of more loss at a lower level than at low rates, for one further down
	vagueShare         = 0.07 // a share with this relative error or more is hardly known
	holdMin, holdMax   = 500 * time.Millisecond, 10 * time.Second
	doubtAfter         = 2 * time.Second
	downAfter          = 15 * time.Second
	downSigmas         = 3 // of excess loss: a lower level is cheaper than a wrong rate
	downMin, downMax   = 0.1, 0.5
	downGrowth         = 1.5
	downLoss           = 0.01 // below it a lower rate cannot show anything
	inflationMax       = 20
	lossMemory         = 2000 // datagrams that p̂ remembers, at least
	lossMemoryArrivals = 400
	lossMemoryMax      = 50000
)

// Drains.
const (
	drainFirst             = time.Second
	drainPeriod, drainRTTs = 5 * time.Second, 10
	drainRare              = 6 // a second: where fewer arrive the period is longer, up to baseStretch times
	drainGain              = 0.5
	drainMargin            = 0.3  // of q*, beyond empty
	drainDatagrams         = 1.5  // and so many datagrams
	drainStarved           = 8    // of the greatest estimate lately: less is starving
	drainOthers            = 0.75 // of the mean queue
	drainWander            = 2    // times the jitter, at least
	drainMax               = time.Second
	drainKin               = 0.8 // times q* without jitter: so much flows of our own kind leave, which do not drain now
	drainEarly             = 2.5 // times q*: drain at once
	drainEarlyRTTs         = 2
	drainEarlyTime         = 50 * time.Millisecond
	drainArrivals          = 2
	stillRTTs              = 8 // so long a queue that does not move,
	stillTime              = 500 * time.Millisecond
	stillRates             = 1.5 // while the estimate does, so many times, is not ours
	drainLook              = 0.5 // of the time constant of the loop: how long a drained queue stays low
)

// Others that fill the buffer (G-4). The cubic window is that of RFC 9438.
const (
	rivalSigns                 = 2 // full drains, within
	rivalMemory                = 30 * time.Second
	shiftMemory                = 12 * time.Second     // a second full drain within it is no longer path
	shiftMoved                 = 5 * time.Millisecond // nor one that leaves so much more
	shiftLook                  = 10 * time.Second     // how long its losses are counted together
	rivalHurry                 = 2 * time.Second      // from one to the next
	rivalTest                  = 8 * time.Second      // between two drains that look whether they are gone
	rivalFade                  = 60.0                 // seconds in which what was greatest is half forgotten
	rivalFirst                 = 0.5                  // of the greatest estimate, to begin with
	rivalFull                  = 0.98                 // of the greatest queue: the buffer is full
	rivalFall                  = 0.85                 // of the peak: another has backed off
	rivalFallRTTs              = 2                    // so long: less is a host that stood still
	rivalCut                   = 0.75                 // RFC 9438: 0.7; ours begin with the smaller window
	rivalGrowth                = 0.4                  // packets/s³
	rivalReno                  = 0.53
	rivalRise                  = 0.5 // of the window, per round trip, at most
	rivalRTTs                  = 8   // from one fall of the queue that counts to the next, at least
	rivalPause                 = 400 * time.Millisecond
	rivalGone                  = 0.3                 // of q*: a drain that leaves less shows that nobody else is there
	rivalStuck                 = 5 * time.Second     // with a full buffer, and nobody backs off
	rivalStuckRTTs             = 20                  // at least
	rivalTruce                 = 10 * time.Second    // of no competition after that
	rivalTall                  = 1.6                 // times q*: flows of our own kind hold a smaller queue,
	rivalTallStays             = 1.25                // and after a sign one smaller than that where a drain
	rivalStays                 = 0.75                // leaves so much of it
	rivalLowest                = time.Minute         // how long the least delay is remembered for that,
	rivalLowestActive          = 4 * rivalLowest     // and beside rivals
	rivalShort, rivalShortRTTs = 4 * time.Second, 20 // with no greater one: they are gone
	rivalFloodRTTs             = 3                   // with a full buffer that loses
	rivalLoss                  = 0.02                // so much more than before,
	rivalClear                 = 1000                // which so many datagrams tell: some dozens would wear it down
)

// The queue grows while the rate falls (G-4).
const (
	yieldQueue           = 1.2             // times q*: above it the rate is lowered
	yieldFall            = 4               // of the estimate, so many times
	yieldTall            = 3               // times q*: the queue of several flows of our own kind is shorter
	yieldGrown           = 0.25            // of the queue then: less has not grown,
	yieldNoises          = 3               // nor less than so many times the jitter
	yieldTime, yieldRTTs = time.Second, 10 // least time for it
)

// Silence.
const (
	silentRTTs, silentGaps = 3, 9
	stepGaps               = 3 // of a halving, at least
	silentKept             = 5 * time.Second
	fadeTime               = 10 * time.Second
	idleKept               = time.Second
	silentFloor            = 160_000 / 8 // bytes/s
)

const _ = uint(MaxRecords&-MaxRecords - MaxRecords)
