/* Under weak fairness a job that can end does end, whatever is revoked, refused or started twice on the way: no deadlock of
 * claim, tombstone and revocation. One rank; messages as in gate.pml. STUCK=1 drops the site's answer to a REVOKE that
 * finds a tombstone: the job then hangs. */
#define ATTEMPTS 2
#ifndef STUCK
#define STUCK 0
#endif
mtype = { PENDING, OFFERED, DONE, FREE, TAKEN, TOMBSTONE };
mtype job = PENDING, claim[3] = FREE;
byte attempt = 0, launched[3];
bool start[3], revoke[3], told_never[3], ended[3], well[3], asking[3], running[3], refused[3];

active proctype server()
{
end:
    do
    :: atomic { job == PENDING && attempt < ATTEMPTS -> attempt++; job = OFFERED; start[attempt] = true }
    /* revocation is for all but the last attempt, so that the job can end at all */
    :: atomic { job == OFFERED && attempt < ATTEMPTS && !revoke[attempt] -> revoke[attempt] = true }
    :: atomic { job == OFFERED && ended[attempt] && (well[attempt] || attempt == ATTEMPTS) -> job = DONE }
    :: atomic { job == OFFERED && ended[attempt] && !well[attempt] && attempt < ATTEMPTS -> job = PENDING }
    :: atomic { job == OFFERED && told_never[attempt] -> job = PENDING }
    :: job == DONE -> break
    od
}

#define AGENT(a) \
    :: atomic { start[a] && claim[a] == FREE && launched[a] < 1 -> launched[a]++; asking[a] = true } \
    :: atomic { asking[a] && claim[a] == FREE && !refused[a] -> claim[a] = TAKEN } \
    :: atomic { revoke[a] && claim[a] == FREE && !refused[a] -> claim[a] = TOMBSTONE; refused[a] = true } \
    :: atomic { claim[a] == TOMBSTONE && revoke[a] && !told_never[a] && !STUCK -> told_never[a] = true }

active proctype agent()
{
end:
    do
    AGENT(1)
    AGENT(2)
    :: job == DONE -> break
    od
}

#define SUPERVISOR(a) \
    :: atomic { asking[a] && claim[a] == TAKEN && !running[a] -> asking[a] = false; running[a] = true } \
    :: atomic { asking[a] && claim[a] == TOMBSTONE -> asking[a] = false } \
    :: atomic { running[a] -> running[a] = false; well[a] = !revoke[a]; ended[a] = true }

active proctype supervisor()
{
end:
    do
    SUPERVISOR(1)
    SUPERVISOR(2)
    :: job == DONE -> break
    od
}

ltl ends { <> (job == DONE) }
