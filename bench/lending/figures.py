"""What is counted, from three independent sources: the programs' own words (with the machine's clock), Slurm's
records, and the network's usage records. Nothing here asks the network how well it did.
"""

import datetime
import os
import re

LATE_S = 1.5  # Slurm's records are in whole seconds


def percentile(values, share):
    """The smallest value that `share` of all are not above; 0 of none."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * share // 100) - 1)] if ordered else 0.0


def overlap(begin, end, window):
    return max(0.0, min(end, window[1]) - max(begin, window[0]))


def expand(hosts):
    """Names of a Slurm host list: a-n[1-3,7],b."""
    names = []
    for part in re.findall(r"[^,\[]+(?:\[[^\]]*\])?", hosts):
        prefix, _, inside = part.partition("[")
        if not inside:
            names.append(prefix)
        for piece in filter(None, inside.rstrip("]").split(",")):
            low, _, high = piece.partition("-")
            names += [f"{prefix}{number:0{len(low)}}" for number in range(int(low), int(high or low) + 1)]
    return names


# ---- owners

def owner_seconds(replay, window):
    """Device-seconds of the window in which owners' programs ran."""
    total = 0.0
    for arrival in replay.arrivals:
        _, started, ended, _ = replay.times(arrival)
        if started is not None:
            total += arrival.devices * overlap(started, ended or window[1], window)
    return total


def waits(replay):
    """{arrival: seconds from sbatch to the script's first line}."""
    found = {}
    for arrival in replay.arrivals:
        submitted, started, _, _ = replay.times(arrival)
        if submitted is not None and started is not None:
            found[arrival] = started - submitted
    return found


# ---- Slurm's records

def stamp(text):
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


class Records:
    """The completion log of one cluster: jobcomp/filetxt, which needs no database daemon."""

    def __init__(self, cluster):
        self.jobs, known = [], set()
        path = os.path.join(cluster.folder, "log", "jobcomp.txt")
        if not os.path.exists(path):
            return
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                row = dict(word.split("=", 1) for word in line.split() if "=" in word)
                if row["JobId"] in known:  # a controller that forgot the first end, and was told again
                    continue
                known.add(row["JobId"])
                self.jobs.append({"id": int(row["JobId"]), "name": row["Name"], "state": row["JobState"],
                                  "partition": row["Partition"], "start": stamp(row["StartTime"]),
                                  "end": stamp(row["EndTime"]), "nodes": expand(row["NodeList"])})

    def pool(self):
        return [job for job in self.jobs if job["partition"] == "surplus" and job["nodes"] and job["start"] is not None]


def preempted_for(records, submitted, started, nodes):
    """Pool jobs that Slurm took off these nodes while the owner's job waited."""
    mine = set(expand(nodes))
    return [job for job in records.pool() if job["state"] == "PREEMPTED" and mine & set(job["nodes"]) and
            submitted - LATE_S <= job["end"] <= started + LATE_S]


class Holdings:
    """Who holds how many devices of one cluster, over time; for the time in which pool work held what an owner's
    job that waited could have used: the devices that owners do not hold would have been enough for it."""

    def __init__(self, replay, site, capacity):
        self.capacity, self.owned = capacity, []
        for arrival in replay.arrivals:
            _, started, ended, _ = replay.times(arrival)
            if arrival.site == site and started is not None:
                self.owned.append((started, ended or float("inf"), arrival.devices))

    def held_s(self, records, arrival, submitted, started):
        """Seconds of the wait in which the pool held devices and, but for it, there was room."""
        edges = {submitted, started}
        pool = [(job["start"], job["end"]) for job in records.pool() if job["start"] < started and job["end"] > submitted]
        for begin, end, *_ in [*self.owned, *pool]:
            edges |= {moment for moment in (begin, end) if submitted < moment < started}
        moments, total = sorted(edges), 0.0
        for begin, end in zip(moments, moments[1:]):
            middle = (begin + end) / 2
            owned = sum(devices for start, stop, devices in self.owned if start <= middle < stop)
            has_pool = any(start <= middle < stop for start, stop in pool)
            if has_pool and self.capacity - owned >= arrival.devices:
                total += end - begin
        return total


# ---- the programs' words

WORD = re.compile(r"^(begins|did|saved|asked|done) ([\d. ]+)$", re.M)


class Story:
    """One attempt's output: from which step it went on, what it did and when, what it kept."""

    def __init__(self, text):
        self.begins, self.begun_at, self.last_at, self.asked_at = None, None, None, None
        self.did, self.saved = [], {}
        for word, rest in WORD.findall(text):
            values = rest.split()
            if word == "begins":
                self.begins, self.begun_at = int(values[0]), float(values[1])
            elif word == "did":
                self.did.append((int(values[0]), int(values[1]), float(values[2]), float(values[3])))
            elif word == "saved":
                self.saved[int(values[0])] = float(values[1])
            elif word == "asked":
                self.asked_at = float(values[1])
            self.last_at = float(values[-1])


def useful_seconds(stories, window):
    """Seconds of the window in steps that no earlier attempt had done; and all steps that were done."""
    covered, total = set(), 0.0
    for first, last, begin, end in sorted((piece for story in stories for piece in story.did), key=lambda piece: piece[2]):
        fresh = set(range(first, last)) - covered
        total += overlap(begin, end, window) * len(fresh) / (last - first)
        covered |= fresh
    return total, covered


def overlaps(stories):
    """Pairs of attempts of one job whose programs lived at the same moment."""
    spans = sorted((story.begun_at, story.last_at) for story in stories if story.begun_at is not None)
    return sum(1 for (_, end), (begin, _) in zip(spans, spans[1:]) if begin < end)


def work_lost(stories, ends):
    """[(seconds, is it from the newest checkpoint on)] for each attempt that another one followed: from the moment of the
    checkpoint that the next one began with to the attempt's end (`ends`, or its own last word)."""
    lost = []
    for number, story in enumerate(stories[1:], 1):
        before = [(earlier, end) for earlier, end in zip(stories[:number], ends) if earlier.begun_at is not None]
        if story.begins is None or not before:
            continue
        last, end = before[-1]
        kept = max([last.begins, *last.saved])
        since = last.saved.get(story.begins, last.begun_at)
        lost.append((max(0.0, max(end, last.last_at) - since), story.begins >= kept))
    return lost
