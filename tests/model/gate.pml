/* One job, server replicas on one store, one site whose engine may start a launch twice, gangs of two
 * ranks. Messages are flags that stay up once sent: each may be delivered never, once, or often, in any order.
 *
 * Words are those of src/core: OFFERED, claim FREE/TAKEN/TOMBSTONE, incarnation (one launch by the engine), holder.
 *
 * Proved: processes of two different (attempt, incarnation) never run at one time, and a job succeeds once.
 * Switches break one rule each (src/core/rules.h): NO_GATE gate_is_exclusive; NO_TOMBSTONE tombstone_on_revoke;
 * EARLY_NEXT end_before_next; ONE_RANK_ENDS end_needs_every_rank; JOURNAL_NEVER journal_loss_is_unknown;
 * LEASE_EARLY lease_waits_for_drift. JOURNAL_LOSS=1 lets the site lose its journal once. LEASE=1: policy lease. */
#define ATTEMPTS 2
#ifndef JOURNAL_LOSS
#define JOURNAL_LOSS 0
#endif
#ifndef LEASE
#define LEASE 0
#endif
#ifndef NO_GATE
#define NO_GATE 0
#endif
#ifndef NO_TOMBSTONE
#define NO_TOMBSTONE 0
#endif
#ifndef EARLY_NEXT
#define EARLY_NEXT 0
#endif
#ifndef ONE_RANK_ENDS
#define ONE_RANK_ENDS 0
#endif
#ifndef JOURNAL_NEVER
#define JOURNAL_NEVER 0
#endif
#ifndef LEASE_EARLY
#define LEASE_EARLY 0
#endif

#define SLOTS (ATTEMPTS + 1)  /* attempts count from 1 */
#define RANKS 2
#define LAUNCHES 2            /* incarnations of an attempt, counted from 1 */
#define CELL(a, i, r) ((a) * 4 + (i) * 2 + (r) - 6) /* attempts and launches count from 1 */
#define CELLS 8

mtype = { PENDING, OFFERED, DONE, FREE, TAKEN, TOMBSTONE };

/* the store */
mtype job = PENDING;
byte attempt = 0;
byte offered_to[SLOTS];       /* journal generation */
byte journal_known = 1;
byte successes = 0;

/* messages */
bool start[SLOTS], revoke[SLOTS], told_never[SLOTS], ended[SLOTS], ended_well[SLOTS];

/* the site's journal */
byte journal = 1;
bool known[SLOTS];
mtype claim[SLOTS] = FREE;
byte holder[SLOTS];
bool rank_end[SLOTS * RANKS];
bool well[SLOTS];
bool resolving[SLOTS];        /* an attempt of a lost journal that is being killed by name */

/* the engine and its nodes */
byte launched[SLOTS];
bool asking[CELLS], running[CELLS], was_run[CELLS];
bool lease_over[SLOTS], kill[SLOTS];
byte run_count = 0, run_attempt = 0, run_launch = 0;

inline program_starts(a, i, r)
{
    assert(run_count == 0 || (run_attempt == a && run_launch == i));
    asking[CELL(a, i, r)] = false;
    running[CELL(a, i, r)] = true;
    was_run[CELL(a, i, r)] = true;
    run_count++;
    run_attempt = a;
    run_launch = i
}

inline program_stops(a, i, r, is_well)
{
    running[CELL(a, i, r)] = false;
    run_count--;
    if
    :: known[a] && (NO_GATE || holder[a] == i) ->
        rank_end[a * RANKS + r] = true;
        if
        :: !(is_well) -> well[a] = false; kill[a] = true /* the leash: one rank's failure ends the gang */
        :: else
        fi
    :: else
    fi
}

/* Every step is one transaction on the shared store, so one process stands for any number of replicas. */
active proctype server()
{
end:
    do
    :: atomic { job == PENDING && attempt < ATTEMPTS ->
        attempt++; job = OFFERED; offered_to[attempt] = journal_known; start[attempt] = true }
    :: atomic { job == OFFERED && !revoke[attempt] -> revoke[attempt] = true }
    :: atomic { journal_known != journal -> journal_known = journal; /* the site's sync told of a new journal */
        if
        :: job == OFFERED && offered_to[attempt] != journal -> revoke[attempt] = true
        :: else
        fi }
    :: atomic { job == OFFERED && ended[attempt] ->
        if
        :: ended_well[attempt] -> job = DONE; successes++; assert(successes == 1)
        :: else -> job = PENDING
        fi }
    :: atomic { job == OFFERED && told_never[attempt] -> job = PENDING }
    :: atomic { LEASE && job == OFFERED && (lease_over[attempt] || LEASE_EARLY) -> job = PENDING }
    :: atomic { EARLY_NEXT && job == OFFERED && revoke[attempt] -> job = PENDING }
    :: job == DONE -> break
    od
}

#define AGENT(a) \
    :: atomic { start[a] && !known[a] && offered_to[a] == journal && !revoke[a] -> \
        known[a] = true; claim[a] = FREE; well[a] = true } \
    /* submit; a time-out leads to a second launch although the first runs anyway */ \
    :: atomic { known[a] && claim[a] == FREE && launched[a] < LAUNCHES -> \
        launched[a]++; asking[CELL(a, launched[a], 0)] = true; asking[CELL(a, launched[a], 1)] = true } \
    /* the gate: every rank of one launch has asked; one durable step for the whole gang */ \
    :: atomic { known[a] && claim[a] == FREE && asking[CELL(a, 1, 0)] && asking[CELL(a, 1, 1)] -> \
        claim[a] = TAKEN; holder[a] = 1 } \
    :: atomic { known[a] && claim[a] == FREE && asking[CELL(a, 2, 0)] && asking[CELL(a, 2, 1)] -> \
        claim[a] = TAKEN; holder[a] = 2 } \
    :: atomic { revoke[a] && known[a] && claim[a] == FREE && !told_never[a] -> \
        if \
        :: NO_TOMBSTONE -> skip \
        :: !NO_TOMBSTONE -> claim[a] = TOMBSTONE \
        fi; \
        told_never[a] = true } \
    :: atomic { revoke[a] && !known[a] && offered_to[a] == journal && !told_never[a] -> \
        known[a] = true; claim[a] = TOMBSTONE; told_never[a] = true } \
    :: atomic { revoke[a] && known[a] && claim[a] == TAKEN && !kill[a] -> kill[a] = true } \
    :: atomic { known[a] && claim[a] == TAKEN && !ended[a] && !resolving[a] && \
        ((rank_end[(a) * RANKS] && rank_end[(a) * RANKS + 1]) || \
         (ONE_RANK_ENDS && (rank_end[(a) * RANKS] || rank_end[(a) * RANKS + 1]))) -> \
        ended_well[a] = well[a]; ended[a] = true } \
    /* revoked, of a journal that is lost: close the gate, kill by name, confirm, then ENDED; never NEVER */ \
    :: atomic { revoke[a] && !known[a] && offered_to[a] != journal && !ended[a] && !told_never[a] -> \
        if \
        :: JOURNAL_NEVER -> told_never[a] = true \
        :: !JOURNAL_NEVER -> known[a] = true; claim[a] = TOMBSTONE; resolving[a] = true; kill[a] = true \
        fi } \
    :: atomic { resolving[a] && !ended[a] && \
        !running[CELL(a, 1, 0)] && !running[CELL(a, 1, 1)] && !running[CELL(a, 2, 0)] && !running[CELL(a, 2, 1)] -> \
        ended_well[a] = false; ended[a] = true }

active proctype agent()
{
    byte n;
end:
    do
    AGENT(1)
    AGENT(2)
    :: atomic { JOURNAL_LOSS && journal == 1 ->
        journal = 2;
        n = 1;
        do
        :: n <= ATTEMPTS -> known[n] = false; claim[n] = FREE; holder[n] = 0;
            rank_end[n * RANKS] = false; rank_end[n * RANKS + 1] = false; n++
        :: else -> break
        od;
        n = 0 }
    :: job == DONE -> break
    od
}

/* The supervisor of one rank of one launch, and the node under it. */
#define SUPERVISOR(a, i, r) \
    :: atomic { asking[CELL(a, i, r)] && !lease_over[a] && \
        (NO_GATE || (known[a] && claim[a] == TAKEN && holder[a] == i)) && !was_run[CELL(a, i, r)] -> \
        program_starts(a, i, r) } \
    /* REFUSE: a loser exits */ \
    :: atomic { asking[CELL(a, i, r)] && (claim[a] == TOMBSTONE || (claim[a] == TAKEN && holder[a] != i)) -> \
        asking[CELL(a, i, r)] = false } \
    :: atomic { running[CELL(a, i, r)] && !kill[a] -> program_stops(a, i, r, true) } \
    :: atomic { running[CELL(a, i, r)] && (kill[a] || a < ATTEMPTS) -> program_stops(a, i, r, false) } \
    /* went through the gate but exits without executing (killed while waiting for GO) */ \
    :: atomic { asking[CELL(a, i, r)] && claim[a] == TAKEN && holder[a] == i && kill[a] -> \
        asking[CELL(a, i, r)] = false; was_run[CELL(a, i, r)] = true; \
        rank_end[(a) * RANKS + r] = true; well[a] = false }
#define SUPERVISORS(a) SUPERVISOR(a, 1, 0) SUPERVISOR(a, 1, 1) SUPERVISOR(a, 2, 0) SUPERVISOR(a, 2, 1)

active proctype nodes()
{
end:
    do
    SUPERVISORS(1)
    SUPERVISORS(2)
    :: job == DONE -> break
    od
}

#define STOP(i, r) if :: running[CELL(1, i, r)] -> program_stops(1, i, r, false) :: else fi

/* Policy lease: silence about the first attempt. Every supervisor kills before the lease is visibly over; nothing starts after. */
active proctype silence()
{
end:
    atomic { LEASE && start[1] && !lease_over[1] ->
        STOP(1, 0); STOP(1, 1); STOP(2, 0); STOP(2, 1);
        lease_over[1] = true }
}
