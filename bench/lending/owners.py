"""Owners: arrivals of the Philly trace, straight into their own Slurm by sbatch.

A plan is made once, from a seed, and replayed twice: with the pool and without it.
"""

import csv
import datetime
import os
import random
import subprocess
import threading
import time
from dataclasses import dataclass

TRACE = "data/philly/philly.csv"
RUN_MIN_S = 2.0
RUN_MAX_SHARE = 0.25  # of the window, but not less than this:
RUN_MAX_S = 20.0
WIDTH_MAX_SHARE = 0.25  # of a site's devices
FULL_SHARE = 0.9  # owners never want more of their site than this at once
ARRIVAL_EVERY_S = 2.5
ARRIVALS_MIN = 32  # a site
FIT_ROUNDS = 16

# $1: the stem of the files that say when it ran, $2: seconds.
SCRIPT = """\
#!/bin/bash
echo "$EPOCHREALTIME $SLURM_JOB_NODELIST" >"$1.start.tmp" && mv "$1.start.tmp" "$1.start"
sleep "$2"
echo "$EPOCHREALTIME" >"$1.end.tmp" && mv "$1.end.tmp" "$1.end"
"""


@dataclass(frozen=True)
class Arrival:
    site: int
    number: int
    at_s: float
    run_s: float
    devices: int


def read_trace(root):
    """(second, duration, devices, cluster), in the order of arrival."""
    with open(os.path.join(root, TRACE), encoding="ascii") as file:
        rows = [(datetime.datetime.fromisoformat(row["timestamp"]).timestamp(), float(row["duration"]),
                 int(row["num_gpus"]), row["cluster"]) for row in csv.DictReader(file)]
    return sorted(rows)


def split(rows, sites):
    """Each of the trace's clusters belongs to one site, dealt out by the number of their jobs."""
    counts = {}
    for row in rows:
        counts[row[3]] = counts.get(row[3], 0) + 1
    order = sorted(counts, key=lambda name: (-counts[name], name))
    site_of = {name: min(i % (2 * sites), 2 * sites - 1 - i % (2 * sites)) for i, name in enumerate(order)}
    parts = [[] for _ in range(sites)]
    for row in rows:
        parts[site_of[row[3]]].append(row)
    return parts


def fits(held, arrival, nodes, per_node):
    """Would it start at once, were the owners alone? Nodes by their free devices, as Slurm packs them."""
    held[:] = [row for row in held if row[0] > arrival.at_s]
    free = [per_node] * nodes
    for _, taken in held:
        for node, count in taken:
            free[node] -= count
    if arrival.devices >= per_node:
        whole = [node for node in range(nodes) if free[node] == per_node]
        wanted = arrival.devices // per_node
        taken = [(node, per_node) for node in whole[:wanted]] if len(whole) >= wanted else None
    else:
        room = sorted((free[node], node) for node in range(nodes) if free[node] >= arrival.devices)
        taken = [(room[0][1], arrival.devices)] if room else None
    used = nodes * per_node - sum(free) + arrival.devices
    if taken is None or used > FULL_SHARE * nodes * per_node:
        return False
    held.append((arrival.at_s + arrival.run_s, taken))
    return True


def press(rows, site, scale, window_s, nodes, per_node):
    """The rows as arrivals of the window; those that would not fit beside the owners' own are left out."""
    first, last = rows[0][0], rows[-1][0]
    span = max(1.0, last - first)
    longest, widest = max(RUN_MAX_S, RUN_MAX_SHARE * window_s), int(WIDTH_MAX_SHARE * nodes * per_node)
    arrivals, held, left_out = [], [], 0
    for number, (second, duration, devices, _) in enumerate(rows):
        wide = min(devices, widest)
        if wide > per_node:
            wide -= wide % per_node
        arrival = Arrival(site, number, (second - first) / span * window_s * 0.98,
                          min(longest, max(RUN_MIN_S, duration * scale)), wide)
        if fits(held, arrival, nodes, per_node):
            arrivals.append(arrival)
        else:
            left_out += 1
    return arrivals, left_out


def demand(arrivals, window_s):
    return sum(min(a.run_s, window_s - a.at_s) * a.devices for a in arrivals)


def plan(root, seed, sites, nodes, per_node, window_s, load):
    """Arrivals of every site, with run times scaled so that the owners' load is `load`; and what was left out."""
    chance = random.Random(seed)
    arrivals, left_out = [], 0
    for site, rows in enumerate(split(read_trace(root), sites)):
        count = max(ARRIVALS_MIN, int(window_s / ARRIVAL_EVERY_S))
        start = chance.randrange(len(rows) - count)
        rows = rows[start:start + count]
        low, high = 1e-6, 10.0
        for _ in range(2 * FIT_ROUNDS):
            scale = (low * high) ** 0.5
            chosen, out = press(rows, site, scale, window_s, nodes, per_node)
            if demand(chosen, window_s) < load * nodes * per_node * window_s:
                low = scale
            else:
                high = scale
        arrivals += chosen
        left_out += out
    return sorted(arrivals, key=lambda a: (a.at_s, a.site)), left_out


class Replay:
    """One half's owners. `clusters` in the order of the sites; files of the half go to `folder`."""

    def __init__(self, clusters, arrivals, per_node, folder):
        self.clusters, self.arrivals, self.per_node, self.folder = clusters, arrivals, per_node, folder
        self.script = os.path.join(folder, "owner.sh")
        os.makedirs(folder)
        with open(self.script, "w", encoding="ascii") as file:
            file.write(SCRIPT)
        self.submitted, self.ids, self.failures = {}, {}, 0
        self.threads = []

    def stem(self, arrival):
        return os.path.join(self.folder, f"{arrival.site}-{arrival.number}")

    def _argv(self, arrival):
        nodes = max(1, arrival.devices // self.per_node)
        return ["sbatch", "--parsable", "--partition=owner", "--output=/dev/null", "--chdir=/",
                f"--job-name=own-{arrival.site}-{arrival.number}", f"--nodes={nodes}", "--ntasks-per-node=1",
                f"--gres=gpu:a100:{min(arrival.devices, self.per_node)}", self.script, self.stem(arrival),
                f"{arrival.run_s:.3f}"]

    def _submit(self, arrival, until):
        """Until Slurm takes it, as a patient owner would; the wait counts from the try that it took."""
        while time.time() < until:
            at = time.time()
            done = subprocess.run(self._argv(arrival), env=self.clusters[arrival.site].env, capture_output=True,
                                  text=True, check=False)
            if done.returncode == 0:
                self.submitted[arrival], self.ids[arrival] = at, int(done.stdout.split(";")[0])
                return
            self.failures += 1
            time.sleep(1)

    def run(self, start, until):
        """Submits each arrival at its moment after `start` (wall clock); blocks until `until`."""
        for arrival in self.arrivals:
            wait = start + arrival.at_s - time.time()
            if wait > 0:
                time.sleep(wait)
            thread = threading.Thread(target=self._submit, args=(arrival, until), daemon=True)
            thread.start()
            self.threads.append(thread)
        time.sleep(max(0, until - time.time()))
        for thread in self.threads:
            thread.join(60)

    def stop(self):
        for site, cluster in enumerate(self.clusters):
            ids = [str(number) for arrival, number in self.ids.items()
                   if arrival.site == site and not os.path.exists(self.stem(arrival) + ".end")]
            if ids:
                cluster.run("scancel", *ids, check=False)

    def times(self, arrival):
        """(submitted, started, ended, nodes); None for what did not happen."""
        def read(suffix):
            try:
                with open(self.stem(arrival) + suffix, encoding="ascii") as file:
                    return file.read().split()
            except FileNotFoundError:
                return None
        start, end = read(".start"), read(".end")
        return (self.submitted.get(arrival), float(start[0]) if start else None, float(end[0]) if end else None,
                start[1] if start else "")
