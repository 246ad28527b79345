/*
 * The proof ladder (docs/protocol.md, section 2) as Spin checks it:
 * scripts/model.sh runs all of it. Two parties, A and B.
 *
 * Network. What was ever sent may be delivered never, once, often, late and in
 * any order: sent[] only grows and is read without being taken. So loss,
 * repetition, reordering and unbounded delay are all there, each for every
 * datagram. Signatures cannot be forged: a party receives what its peer sent.
 * Messages are stapled: level l stands for all below it.
 *
 * Time. Deadlines fire at any moment, each on its own, or never. Records become
 * stable at any moment, or never. A party may crash RESTARTS times, at any
 * moment, also between its vote, the record of it and its datagram; it goes on
 * from its record alone.
 *
 * What is printed is for scripts/model.sh, which shows counter-examples; a search
 * does not print.
 *
 * RULE chooses the rule of decision:
 *   VOTE_ONCE  X-4, what package handshake/ladder does
 *   PAPER4     the paper's section 3: commit on the own Q, abort at the deadline
 *   PAPER6     the paper's section 5: commit on the peer's V, abort at the deadline
 * and MISTAKE, with VOTE_ONCE, leaves one condition out, to show that it is needed:
 *   1 the vote leaves before its record is stable
 *   2 a party in doubt gives up at its deadline and aborts
 *   3 a party commits on its own vote alone
 *   4 after a restart without a vote a party goes on as if new, in the same attempt,
 *     and forgets that it refused
 */

#define VOTE_ONCE 0
#define PAPER4    4
#define PAPER6    6

#ifndef RULE
#define RULE VOTE_ONCE
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef MISTAKE
#define MISTAKE 0
#endif

/* Levels. Q and QC are signed together. */
#define C  1
#define D  2
#define T  3
#define QC 4
#define V  5

/* Stages: what a party has bound itself to. */
#define BEGUN     0
#define VOTED     1
#define REFUSED   2
#define JOINED    3 /* has both votes */
#define OVERRULED 4 /* voted, and has the peer's ABORT */

/* Outcomes. */
#define OPEN      0
#define COMMITTED 1
#define ABORTED   2

#define peer (1 - me)

byte own[2]     /* highest level signed */
byte heard[2]   /* highest level of the peer's */
bool refusal[2] /* has the peer's ABORT */
byte stage[2]
byte record[2]  /* the stage on stable storage */
byte told[2]    /* the first outcome that was told, across restarts */
bool fired[2]   /* the deadline is over */
byte crashed[2]

/* Ghosts, for the properties. */
byte sent[2]    /* highest level that ever left */
bool abort[2]   /* ABORT ever left */
bool taken[2]   /* told another outcome than before */

inline tell(outcome) {
	printf("STEP %d tells %d\n", me, outcome);
	if
	:: told[me] == OPEN -> told[me] = outcome
	:: told[me] == outcome -> skip
	:: else -> taken[me] = true
	fi
}

inline climb() { /* sign what the peer's artifacts allow, but for the vote */
	if
	:: stage[me] == BEGUN && heard[me] + 1 > own[me] ->
		if
		:: heard[me] + 1 <= QC -> own[me] = heard[me] + 1
		:: else ->
#if RULE == PAPER6
			own[me] = V
#else
			own[me] = QC
#endif
		fi;
		printf("STEP %d signs up to %d\n", me, own[me])
	:: else -> skip
	fi
}

proctype Party(bit me) {
	byte l;
end:	do
	/* Send the highest message that may leave. */
	:: atomic {
#if RULE == VOTE_ONCE && MISTAKE != 1
		own[me] < V && stage[me] != REFUSED && sent[me] < own[me] -> sent[me] = own[me]; printf("STEP %d sends %d\n", me, own[me])
	   }
	:: atomic { /* the vote: its record is stable */
		own[me] == V && record[me] != BEGUN && record[me] != REFUSED && sent[me] < V -> sent[me] = V; printf("STEP %d sends %d\n", me, V)
	   }
	:: atomic { /* below it, the rest */
		own[me] == V && sent[me] < QC -> sent[me] = QC; printf("STEP %d sends %d\n", me, QC)
#else
		stage[me] != REFUSED && sent[me] < own[me] -> sent[me] = own[me]; printf("STEP %d sends %d\n", me, own[me])
#endif
	   }
#if RULE == VOTE_ONCE
	:: atomic { /* ABORT needs the peer's commitment, and its record */
		record[me] == REFUSED && heard[me] >= C && !abort[me] -> abort[me] = true; printf("STEP %d sends ABORT\n", me)
	   }
#endif

	/* Receive anything that the peer ever sent. */
	:: atomic {
		sent[peer] > heard[me] ->
		select (l : 1 .. 5);
		if
		:: l > heard[me] && l <= sent[peer] -> heard[me] = l; printf("STEP %d receives %d\n", me, l); climb()
		:: else -> skip
		fi;
		l = 0
	   }
#if RULE == VOTE_ONCE
	:: atomic { abort[peer] && !refusal[me] -> refusal[me] = true; printf("STEP %d receives ABORT\n", me) }
#endif

	/* Decide. */
#if RULE == VOTE_ONCE
	:: atomic { stage[me] == BEGUN && refusal[me] -> stage[me] = REFUSED; printf("STEP %d refuses, too\n", me) }
	:: atomic { stage[me] == BEGUN && heard[me] >= QC && !refusal[me] -> own[me] = V; stage[me] = VOTED; printf("STEP %d signs V, its vote\n", me) }
	:: atomic { stage[me] == VOTED && refusal[me] -> stage[me] = OVERRULED; printf("STEP %d is overruled\n", me) }
#if MISTAKE == 3
	:: atomic { stage[me] == VOTED && !refusal[me] -> stage[me] = JOINED }
#else
	:: atomic { stage[me] == VOTED && heard[me] == V && !refusal[me] -> stage[me] = JOINED }
#endif
	:: atomic { /* the deadline, or the user */
		stage[me] == BEGUN && !fired[me] -> fired[me] = true; stage[me] = REFUSED; printf("STEP %d deadline\n", me)
	   }
#if MISTAKE == 2
	:: atomic { stage[me] == VOTED && !fired[me] -> fired[me] = true; stage[me] = OVERRULED; printf("STEP %d deadline, in doubt, gives up\n", me) }
#endif
#if MISTAKE == 1
	/* Its record may stay behind: what is told and sent does not wait for it. */
	:: atomic { stage[me] == JOINED && told[me] == OPEN -> tell(COMMITTED) }
#endif
	/* The record becomes stable, and what it says is told. */
	:: atomic {
		record[me] != stage[me] -> record[me] = stage[me];
		printf("STEP %d has a stable record of stage %d\n", me, stage[me]);
		if
		:: stage[me] == JOINED -> tell(COMMITTED)
		:: stage[me] == REFUSED || stage[me] == OVERRULED -> tell(ABORTED)
		:: else -> skip
		fi
	   }
#endif
#if RULE == PAPER4
	:: atomic { told[me] == OPEN && own[me] >= QC -> tell(COMMITTED) }
#endif
#if RULE == PAPER6
	:: atomic { told[me] == OPEN && own[me] == V && heard[me] == V -> tell(COMMITTED) }
#endif
#if RULE != VOTE_ONCE
	:: atomic { told[me] == OPEN && !fired[me] -> fired[me] = true; stage[me] = REFUSED; printf("STEP %d deadline\n", me); tell(ABORTED) }
#endif

#if RESTARTS > 0
	:: atomic { /* crash and restart: the record alone is left */
		crashed[me] < RESTARTS ->
		crashed[me]++;
		printf("STEP %d crashes and restarts\n", me);
		refusal[me] = false;
		stage[me] = record[me];
		if
		:: record[me] == BEGUN ->
			own[me] = C; heard[me] = 0;
#if MISTAKE == 4
			skip
#else
			stage[me] = REFUSED /* presumed abort */
#endif
		:: record[me] == REFUSED ->
			own[me] = C; heard[me] = 0;
#if MISTAKE == 4
			stage[me] = BEGUN; record[me] = BEGUN
#endif
		:: record[me] == VOTED -> own[me] = V; heard[me] = QC
		:: record[me] == JOINED -> own[me] = V; heard[me] = V
		:: record[me] == OVERRULED -> own[me] = V; heard[me] = QC; refusal[me] = true
		fi
	   }
#endif
	od
}

init {
	atomic {
		own[0] = C; own[1] = C;
		run Party(0); run Party(1)
	}
}

/* X-6: no two parties decide differently. X-5: nothing told is taken back.
   X-4: a party says V or ABORT. */
#define split ((told[0] == COMMITTED && told[1] == ABORTED) || (told[0] == ABORTED && told[1] == COMMITTED))
#define both  ((abort[0] && sent[0] == V) || (abort[1] && sent[1] == V))

ltl safe { [] (!split && !taken[0] && !taken[1] && !both) }
