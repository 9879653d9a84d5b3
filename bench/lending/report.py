"""From what was gathered to the figures, and the figures in words."""

import os
import statistics

from lending import figures as count
from lending.pool import STEP_S, STEPS_PER_CHECKPOINT
from lingqu import usage_is_whole

PROMISE_S = 30
ROUNDING_S = 1.0  # Slurm's start and end are cut to whole seconds each


def compare_owners(alone, shared, records, capacity):
    """Every owner's job with itself: what the pool made it wait, and whether pool work had to go for it."""
    before, after = count.waits(alone), count.waits(shared)
    held = [count.Holdings(shared, site, capacity) for site in range(len(records))]
    rows = []
    for arrival, wait in after.items():
        submitted, started, _, nodes = shared.times(arrival)
        taken = count.preempted_for(records[arrival.site], submitted, started, nodes)
        rows.append({"arrival": arrival, "delta": wait - before[arrival] if arrival in before else None, "wait": wait,
                     "is_reclaim": bool(taken), "held": held[arrival.site].held_s(records[arrival.site], arrival, submitted, started)})
    return rows, len([arrival for arrival in alone.submitted if arrival not in after and arrival in before])


def pool_work(jobs, window, last_seen):
    """Useful device-seconds, double runs by the programs' words, lost jobs, work done again."""
    useful, doubles, lost, again = 0.0, 0, [], []
    for job, known in jobs.items():
        stories = [count.Story(log) for log in known["logs"]]
        seconds, covered = count.useful_seconds(stories, window)
        useful += seconds * known["width"]
        doubles += count.overlaps(stories)
        ends = [last_seen.get((job, attempt["attempt"]), 0.0) for attempt in known["view"]["attempts"]]
        again += count.work_lost(stories, ends)
        state = known["view"]["state"]
        whole = len(covered) == known["steps"]
        if state not in ("succeeded", "cancelled") or (state == "succeeded" and not whole):
            lost.append((job, state, len(covered), known["steps"]))
    return useful, doubles, lost, again


def compare_usage(usage, records):
    """Slurm's record against ours, attempt by attempt: what is not running, waiting at the gate or being ended."""
    ours = {f"lq-{epoch}-{job.removeprefix('job_')}-{attempt}": sums
            for (_, job, epoch, attempt), sums in usage_is_whole(usage).items()}
    rows = []
    for record in (job for cluster in records for job in cluster.pool()):
        sums = ours.get(record["name"])
        if sums is None:
            continue
        slurm = record["end"] - record["start"]
        named = (sums["wall_ms"] + sums["gate_wait_ms"] + sums["kill_wait_ms"]) / 1000
        rows.append({"name": record["name"], "slurm_s": slurm, "named_s": named, "rest_s": slurm - named})
    return rows


def figures(options, arrivals, left_out, alone, shared, jobs, records, seen):
    from lending.stage import HOST_NODES, LOAD, NODES, PER_NODE, RESERVE_NODES, SITES
    window = shared[1]
    seconds = window[1] - window[0]
    devices = (len(SITES) * NODES + HOST_NODES) * PER_NODE
    rows, unstarted = compare_owners(alone[0], shared[0], records, NODES * PER_NODE)
    useful, doubles, lost, again = pool_work(jobs, window, seen["witness"].last)
    usage = compare_usage(seen["usage"], records)
    before = count.owner_seconds(alone[0], alone[1])
    after = count.owner_seconds(shared[0], window)
    reserve = [row["delta"] for row in rows if not row["is_reclaim"] and row["delta"] is not None]
    reclaim = [row["delta"] for row in rows if row["is_reclaim"] and row["delta"] is not None]
    demand = {key: sum(row["arrival"].devices * row["arrival"].run_s for row in rows if row["is_reclaim"] in key)
              for key in ((True,), (True, False))}
    # A killed controller forgets what it had not saved: a start (its record is shorter than the run) or an end.
    forgot = [row for row in usage if seen["chaos"] and (row["name"] in seen["left"] or row["rest_s"] < -ROUNDING_S)]
    rest = [abs(row["rest_s"]) for row in usage if row not in forgot]
    interval = STEP_S * STEPS_PER_CHECKPOINT
    return {
        "util_before_pct": round(100 * before / (devices * seconds), 2),
        "util_after_pct": round(100 * (after + useful) / (devices * seconds), 2),
        "owner_reserve_p99_delta_s": round(count.percentile(reserve, 99), 3),
        "owner_reclaim_p99_delta_s": round(count.percentile(reclaim, 99), 3),
        "reclaims": len(reclaim),
        "reclaim_breaches": sum(row["held"] > PROMISE_S for row in rows),
        "lost": len(lost),
        "double_runs": doubles + len(seen["witness"].doubles),
        "usage_unnamed_s_max": round(max(0.0, max(rest, default=0) - ROUNDING_S), 3),
        "more": {
            "owner_share_after_pct": round(100 * after / (devices * seconds), 2),
            "reclaim_demand_pct": round(100 * demand[(True,)] / max(1e-9, demand[(True, False)]), 1),
            "owner_reserve_p50_delta_s": round(count.percentile(reserve, 50), 3),
            "owner_reserve_max_delta_s": round(max(reserve, default=0), 3),
            "owner_reclaim_p50_delta_s": round(count.percentile(reclaim, 50), 3),
            "owner_reclaim_max_delta_s": round(max(reclaim, default=0), 3),
            "held_s_max": round(max((row["held"] for row in rows), default=0), 3),
            "owner_alone_p99_wait_s": round(count.percentile(count.waits(alone[0]).values(), 99), 3),
            "owners_not_started": unstarted,
            "work_again_s_max": round(max((seconds for seconds, _ in again), default=0), 3),
            "work_again_p50_s": round(count.percentile([seconds for seconds, _ in again], 50), 3),
            "older_checkpoint_used": sum(not is_newest for _, is_newest in again),
            "attempts_followed": len(again),
            "usage_compared": len(usage) - len(forgot),
            "usage_slurm_forgot": len(forgot),
            "usage_rest_p50_s": round(statistics.median(rest), 3) if rest else 0,
            "usage_rest_worst": sorted([row for row in usage if row not in forgot], key=lambda row: -abs(row["rest_s"]))[:3],
            "lost_jobs": lost[:10],
            "jobs": len(jobs), "jobs_cancelled_at_the_end": seen["cancelled"],
            "jobs_done": sum(known["view"]["state"] == "succeeded" for known in jobs.values()),
            "attempts": sum(len(known["view"]["attempts"]) for known in jobs.values()),
            "outcomes": outcomes(jobs),
            "faults": seen["chaos"],
            "left_in_slurm_at_the_end": seen["left"],
            "nodes_not_idle_at_the_end": seen["nodes"],
            "told_by_the_agents": {"reclaims": len(seen["told"]), "breaches": sum(row["is_breach"] for row in seen["told"]),
                                   "held_s_max": max((row["held_ms"] for row in seen["told"]), default=0) / 1000},
        },
        "setup": {
            "sites": [*SITES, "host"], "slurm_nodes": NODES, "host_nodes": HOST_NODES, "devices_per_node": PER_NODE,
            "devices": devices, "reserve_nodes": RESERVE_NODES, "promise_s": PROMISE_S, "owner_load": LOAD,
            "window_s": round(seconds, 1), "seed": options.seed, "owner_jobs": len(arrivals), "owner_jobs_left_out": left_out,
            "step_s": STEP_S, "checkpoint_every_s": interval, "load_average": os.getloadavg()[2 if seconds > 200 else 0],
        },
    }


def outcomes(jobs):
    found = {}
    for known in jobs.values():
        for attempt in known["view"]["attempts"]:
            name = attempt.get("outcome") or attempt["state"]
            found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items()))


def is_safe(found):
    """The zeros: no breach, nothing lost, nothing twice."""
    return not (found["reclaim_breaches"] or found["lost"] or found["double_runs"])


def text(found):
    setup, more = found["setup"], found["more"]
    rows = [
        ("useful device time", f"{found['util_before_pct']:.1f} % before, {found['util_after_pct']:.1f} % after", "≥ 85 %"),
        ("owner's extra wait, reserve", f"{found['owner_reserve_p99_delta_s']:.2f} s (p99)", "≤ 1 s"),
        ("owner's extra wait, reclaim", f"{found['owner_reclaim_p99_delta_s']:.2f} s (p99 of {found['reclaims']}; "
                                        f"{more['reclaim_demand_pct']:.0f} % of the owners' demand)", "≤ 10 s"),
        ("breaches of the promise", f"{found['reclaim_breaches']} (longest held: {more['held_s_max']:.1f} s of {setup['promise_s']})", "0"),
        ("jobs lost, run twice", f"{found['lost']}, {found['double_runs']} of {more['jobs']}", "0, 0"),
        ("work done again", f"{more['work_again_s_max']:.1f} s at most", f"≤ {setup['checkpoint_every_s']:.0f} s"),
        ("usage without a name", f"{found['usage_unnamed_s_max']:.2f} s a job at most, of {more['usage_compared']}", "≤ 1 s"),
    ]
    lines = [f"{setup['devices']} devices at {len(setup['sites'])} sites, two halves of {setup['window_s']:.0f} s, "
             f"{setup['owner_jobs']} owners' jobs, seed {setup['seed']}" + (f", faults: {more['faults']}" if more["faults"] else "")]
    lines += [f"  {name:<30}{value:<60}{bar}" for name, value, bar in rows]
    return "\n".join(lines)
