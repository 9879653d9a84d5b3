"""kill -9 of server, agents, whole sites, or all of them, at random, while the Philly trace runs: nothing is lost,
nothing runs twice, every usage record is there once.

What really ran is told by the programs themselves (lingqu.Evidence), not by ours. LQ_KILL_SEED=n replays
the choices of a run; the seed is printed.
"""

import csv
import os
import random
import time

import pytest
from conftest import ROOT
from lingqu import Evidence, audit_chain, journal_agrees, living_net, usage_is_whole

PROGRAM_S = (0.2, 3.0)  # what the trace's durations are squeezed into
GANG_MAX = 4
SITES = {"alpha": "0.10", "beta": "0.11", "gamma": "0.12"}


def trace(count):
    """(seconds, nodes) of the first jobs of the trace, squeezed."""
    with open(os.path.join(ROOT, "data", "philly", "philly-300.csv"), encoding="ascii") as file:
        rows = [(float(row["duration"]), int(row["num_gpus"])) for row in csv.DictReader(file)][:count]
    assert len(rows) == count
    shortest, longest = PROGRAM_S
    return [(min(longest, max(shortest, duration / 2000)), min(nodes, GANG_MAX)) for duration, nodes in rows]


class Story:
    def __init__(self, net, evidence, seed, jobs, is_lease):
        self.net, self.evidence, self.random = net, evidence, random.Random(seed)
        self.todo = [(f"p{number:03}", seconds, nodes) for number, (seconds, nodes) in enumerate(trace(jobs))]
        self.jobs, self.kills = {}, {}
        self.is_lease = is_lease

    def submit(self, upto):
        """Idempotently, as a careful client does while the server comes and goes."""
        while self.todo and len(self.jobs) < upto:
            name, seconds, nodes = self.todo.pop(0)
            contact = "lease" if self.is_lease and len(self.jobs) % 3 == 0 else "strict"
            spec = {"name": name, "run": self.evidence.script(name, f"sleep {seconds:.3f}", nodes), "num_nodes": nodes,
                    "resources": {"cpus": 1, "memory": "32MiB"}, "contact": contact, "time_limit": "2m"}
            answer = self.net.admin.post("/v1/jobs", spec, **{"Idempotency-Key": name})
            assert answer.status == 201, answer
            self.jobs[name] = answer.json()["jobs"][0]["id"]

    def kill_one(self):
        sites = list(self.net.agents.values())
        site = self.random.choice(sites)
        what = self.random.choices(["server", "agent", "both", "all", "site"], [3, 4, 3, 1, 3 if self.is_lease else 0])[0]
        self.kills[what] = self.kills.get(what, 0) + 1
        dead = sites if what == "all" else [] if what == "server" else [site]
        if what in ("server", "both", "all"):
            self.net.server.kill()
        for agent in dead:
            agent.kill_whole() if what == "site" else agent.kill()
        time.sleep(self.random.uniform(0, 0.3))
        starts = [agent.start for agent in dead]
        if what in ("server", "both", "all"):  # an agent that starts first waits for no server
            starts.insert(self.random.randrange(len(starts) + 1), self.net.server.start)
        for start in starts:
            start()

    def run(self, kills):
        total = len(self.todo)
        for number in range(kills):
            self.submit(min(total, 6 + (number + 1) * total // kills))
            time.sleep(self.random.uniform(0.02, 0.5))
            self.kill_one()
        self.submit(total)

    def judge(self, seconds):
        net, evidence = self.net, self.evidence
        until = time.monotonic() + seconds
        views = {name: net.wait_job(job, seconds=max(1, until - time.monotonic())) for name, job in self.jobs.items()}
        lost = {name: net.about(view["id"]) for name, view in views.items() if view["state"] != "succeeded"}
        assert not lost, f"lost: {lost}"
        evidence.no_double()
        records = net.settle(60)
        sums = usage_is_whole(records)
        for name, view in views.items():
            self.judge_job(name, view, sums)
        by_site = {row["name"]: row for row in net.admin.get("/v1/usage", by="site").json()["items"]}
        for agent in net.agents.values():
            mine = [record for record in records if record["site"] == agent.id]
            if mine:
                assert by_site[agent.name]["records"] == len(mine)
                for quantity in mine[0]["delta"]:
                    assert by_site[agent.name][quantity] == sum(record["delta"][quantity] for record in mine)
        audit = audit_chain(net.everything_after("/v1/audit"))
        for agent in net.agents.values():
            net.wait(lambda agent=agent: not agent.programs() or None, 30, f"nothing left at {agent.name}")
            agent.stop()
            journal_agrees(agent, records)
        return {"jobs": len(views), "kills": self.kills, "attempts": sum(len(view["attempts"]) for view in views.values()),
                "usage_records": len(records), "audit_records": audit, "double_runs": 0, "lost": 0}

    def judge_job(self, name, view, sums):
        """What its programs said agrees with what the network says."""
        begun = {}
        for _, _, attempt, rank, at, *_ in self.evidence.said("start", name):
            assert (attempt, rank) not in begun, f"{name}: rank {rank} of attempt {attempt} was started twice"
            begun[attempt, rank] = float(at)
        whole = {attempt for attempt, _ in begun
                 if len([line for line in self.evidence.said("stop", name) if line[2] == attempt]) == view["attempts"][0]["nodes"]}
        numbers = {str(attempt["attempt"]) for attempt in view["attempts"]}
        assert {attempt for attempt, _ in begun} <= numbers, f"{name}: an attempt ran that nobody knows"
        last = view["attempts"][-1]
        assert str(last["attempt"]) in whole, f"{name} did not run to its end: {begun}"
        if view["spec"].get("contact", "strict") == "strict" and not self.is_lease:
            assert len(whole) == 1, f"{name} ran to its end {len(whole)} times"
        for attempt in view["attempts"]:
            if (str(attempt["attempt"]), "0") in begun and attempt["state"] == "ended":
                found = [value for key, value in sums.items()
                         if key[1:] == (view["id"], attempt["epoch"], attempt["attempt"])]
                assert len(found) == 1 and found[0]["last"] == 1, f"{name}: {attempt} has {len(found)} streams"


def kill_loop(kills, jobs, seconds, is_lease=False):
    seed = int(os.environ.get("LQ_KILL_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"LQ_KILL_SEED={seed}")
    evidence = Evidence()
    try:
        with living_net("--start-limit", "20s") as net:
            for name, ask in SITES.items():
                net.site(name, nodes=[f"n{i}:cpus=1,mem=256MiB" for i in range(GANG_MAX)], ask=ask, flags=evidence.flags())
            story = Story(net, evidence, seed, jobs, is_lease)
            story.run(kills)
            print(story.judge(seconds))
    finally:
        evidence.close()


@pytest.mark.quick
def test_three_kills():
    kill_loop(3, 9, 60)


def test_a_dozen_kills_of_server_and_agents():
    kill_loop(12, 30, 100)


def test_a_dozen_kills_and_whole_sites_too_under_leases():
    kill_loop(12, 24, 100, is_lease=True)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_two_hundred_kills_during_the_philly_replay():
    kill_loop(200, 300, 300)


@pytest.mark.full
@pytest.mark.timeout(1200)
def test_a_hundred_kills_of_whole_sites_as_well():
    kill_loop(100, 150, 300, is_lease=True)
