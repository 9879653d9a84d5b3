"""The run: clusters, the owners alone, the owners with the pool, and what is left to say afterwards."""

import contextlib
import os
import sys
import threading
import time

from cluster import Cluster
from lending import owners, report
from lending.chaos import Chaos
from lending.figures import Records
from lending.pool import Lending, Witness, now_text

SITES = ("east", "west")
NODES, PER_NODE = 16, 2
HOST_NODES = 4
RESERVE_NODES = 1
LOAD = 0.25  # of all three sites
LEAD_S = 20.0  # the pool fills before the owners' first job comes
FILL_SHARE = 1.3  # of the device time that owners leave: the queue never runs dry
SETTLE_S = 180
OUTPUT_S = 60
LEFTOVERS_S = 20
REST_S = 60  # for the time that is told: set-up and last words
# Slurm looks at its queue when a job comes or ends, not up to three seconds later.
SCHEDULER = "bf_interval=1,sched_interval=2,batch_sched_delay=0,preempt_youngest_first"


class Clock:
    """Says on stderr what goes on and how long it will still take."""

    def __init__(self, total_s):
        self.until = time.time() + total_s

    def say(self, text):
        print(f"{now_text(self.until - time.time())} left  {text}", file=sys.stderr, flush=True)


def make_cluster(folder, name):
    path = os.path.join(folder, name)
    os.mkdir(path)
    return Cluster(path, name, nodes=NODES, gpus=PER_NODE, kill_wait=5, min_job_age=600, scheduler=SCHEDULER).start()


def ticks(clock, text, until, about):
    """Says every twenty seconds how it goes."""
    while time.time() < until:
        time.sleep(max(0.0, min(20, until - time.time())))
        clock.say(f"{text}: {about()}")


def half(clock, text, clusters, arrivals, folder, window_s, about):
    """The owners' jobs, once; the replay and the window that is measured."""
    replay = owners.Replay(clusters, arrivals, PER_NODE, folder)
    start = time.time()
    window = (start, start + window_s)
    teller = threading.Thread(target=ticks, args=(clock, text, window[1], lambda: about(replay)), daemon=True)
    teller.start()
    replay.run(start, window[1])
    teller.join()
    return replay, window


def living(cluster):
    """Names of the jobs that Slurm has not ended."""
    return [job["name"] for job in cluster.jobs() if job["job_state"] in ("RUNNING", "PENDING", "COMPLETING", "SUSPENDED")]


def end_leftovers(clusters, seconds):
    """Waits for what Slurm still calls alive, and cancels what stays, as an administrator would: a controller that was
    killed before it saved a job's end takes the job for running when it comes back. Names of those."""
    until, left = time.time() + seconds, []
    for cluster in clusters:
        while living(cluster) and time.time() < until:
            time.sleep(0.5)
        names = living(cluster)
        if names:
            for name in names:
                cluster.run("scancel", f"--name={name}", check=False)
            cluster.wait(lambda cluster=cluster: not living(cluster), 60, f"the end of {names}")
        left += names
    return left


def rest(clusters, replay):
    replay.stop()
    for cluster in clusters:
        cluster.wait(cluster.is_idle, 60, "idle nodes after the owners")


def owners_alone(clock, clusters, arrivals, folder, options):
    clock.say(f"owners alone: {len(arrivals)} jobs")
    replay, window = half(clock, "owners alone", clusters, arrivals, os.path.join(folder, "alone"), options.window_s,
                          lambda replay: f"{len(replay.submitted)} of {len(arrivals)} owners' jobs submitted")
    rest(clusters, replay)
    return replay, window


def join_sites(net, clusters):
    for cluster in clusters:
        agent = net.slurm_site(cluster, start=False, reserve_nodes=RESERVE_NODES)
        net.through_relay(agent)
    nodes = [f"h{number}:cpus=4,mem=4GiB,accelerators=A100 80GB SXM*{PER_NODE}" for number in range(1, HOST_NODES + 1)]
    host = net.site("host", nodes=nodes, start=False, flags=("--catalogue", net.catalogue, "--ask", "A100 80GB SXM=1.00"))
    net.through_relay(host)


def with_pool(clock, net, clusters, arrivals, folder, options):
    witness, chaos = Witness(net.jobs), None
    join_sites(net, clusters)
    devices = (len(clusters) * NODES + HOST_NODES) * PER_NODE
    net.fill(options.seed, devices * (options.window_s + LEAD_S) * FILL_SHARE)
    clock.say(f"the pool: {len(net.jobs)} jobs queued")
    witness.start()
    time.sleep(LEAD_S)
    if options.chaos:
        chaos = Chaos(net, clusters, options.seed, options.window_s, os.path.join(folder, "shared"))
        chaos.start()
    try:
        replay, window = half(clock, "owners and pool", clusters, arrivals, os.path.join(folder, "shared"), options.window_s,
                              lambda replay: f"{len(replay.submitted)} of {len(arrivals)} owners' jobs submitted, "
                                             f"{len(witness.running)} pool programs")
        cancelled = net.cancel_rest()
    finally:
        if chaos is not None:
            chaos.stop()
    clock.say("ends, last usage records, output")
    replay.stop()
    net.wait_ended(SETTLE_S)
    usage = net.settle(SETTLE_S)
    witness.stop()
    return replay, window, {"witness": witness, "cancelled": cancelled, "usage": usage,
                            "chaos": chaos.counts if chaos is not None else None}


def gather(net):
    """What the network has on every job, after the last one ended. Output may come later than the end:
    an agent that lost its line tries again after up to 15 s."""
    jobs, until = {}, time.time() + OUTPUT_S
    for job in net.jobs:
        view, logs = net.job(job), []
        while True:
            logs = [net.log(job, attempt=attempt["attempt"]) for attempt in view["attempts"]]
            if view["state"] != "succeeded" or "\ndone " in logs[-1] or time.time() > until:
                break
            time.sleep(0.5)
        jobs[job] = {"view": view, "logs": logs, **net.jobs[job]}
    return jobs


def run(root, folder, options):
    clock = Clock(2 * options.window_s + LEAD_S + REST_S)
    arrivals, left_out = owners.plan(root, options.seed, len(SITES), NODES, PER_NODE, options.window_s,
                                     LOAD * (len(SITES) * NODES + HOST_NODES) / (len(SITES) * NODES))
    with contextlib.ExitStack() as stack:
        clock.say(f"{len(SITES)} Slurm clusters of {NODES} nodes and a host site of {HOST_NODES}, {PER_NODE} devices a node")
        clusters = []
        for name in SITES:
            clusters.append(make_cluster(folder, name))
            stack.callback(clusters[-1].stop)
        alone = owners_alone(clock, clusters, arrivals, folder, options)
        net = Lending(os.path.join(folder, "pool"), options.chaos)
        stack.callback(net.stop)
        shared, window, seen = with_pool(clock, net, clusters, arrivals, folder, options)
        jobs = gather(net)
        seen["left"] = end_leftovers(clusters, LEFTOVERS_S)
        records = [Records(cluster) for cluster in clusters]
        seen["nodes"] = {node: state for cluster in clusters for node, state in cluster.states().items() if state != ("idle", [])}
        seen["told"] = net.everything("/v1/reclaims")
        return report.figures(options, arrivals, left_out, alone, (shared, window), jobs, records, seen)
