"""The cluster's owner: work yields to its jobs, and what they waited is measured, told and kept."""

import json
import os
import subprocess

from lingqu import LQ
from test_slurm_faults import CHECKPOINT, COUNTER, named

WHOLE = {"cpus": 8, "memory": "64MiB"}


def counter(net, last=1200, name="yields", **more):
    return net.submit(COUNTER.replace("$LAST", str(last)), name=name, checkpoint=CHECKPOINT, resources=WHOLE, **more)


def fill(net, cluster, count=2, **more):
    """Pool work on every node."""
    jobs = [counter(net, name=f"fills-{number}", **more) for number in range(count)]
    for job in jobs:
        net.wait_running(job)
        net.wait_log(job, "begins at")
    return jobs


def begun(cluster, owner, seconds=40):
    return cluster.wait(lambda: [row for row in cluster.jobs() if str(row["job_id"]) == owner
                                 and row["job_state"] == "RUNNING"], seconds, "the owner's start")[0]


def reclaims(net, site, count=1):
    """Those of a site, once there are so many that are over."""
    def look():
        items = net.admin.get(f"/v1/reclaims?site={site}").json()["items"]
        over = [item for item in items if not item["is_open"]]
        return over if len(over) >= count else None
    return net.wait(look, 30, "a reclaim")


def lq(net, *arguments):
    env = {"PATH": os.environ["PATH"], "LQ_SERVER": net.server.address, "LQ_TOKEN": net.admin.token, "LQ_CA": net.server.ca}
    done = subprocess.run([LQ, *arguments], env=env, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cancel_all(net, jobs):
    for job in jobs:
        net.admin.post(f"/v1/jobs/{job}:cancel")


def test_what_slurm_takes_off_for_its_owner_is_measured_and_kept(net, clusters):
    cluster = clusters("owned")  # of its own: Slurm remembers what other tests reclaimed
    agent = net.slurm_site(cluster)
    jobs = fill(net, cluster)
    owner = cluster.owner("sleep 30", "--exclusive", name="wants-a-node")
    try:
        row = begun(cluster, owner)
        item = reclaims(net, "owned")[0]
        assert item["name"] == f"slurm-{owner}-{row['eligible_time']}" and item["attempts"] == 1
        assert item["wait_ms"] == (row["start_time"] - row["eligible_time"]) * 1000
        assert item["held_ms"] <= item["wait_ms"] + 1000 and item["promise_ms"] == 30000
        assert not item["is_breach"] and item["held_ms"] < 20000
        # Told again after a restart, and still one record.
        agent.restart("kill")
        net.wait(lambda: "1 reclaims" in lq(net, "reclaims"), 20, "the agent's contact")
        listed = json.loads(lq(net, "reclaims", "--site", "owned", "--json"))
        assert [entry["name"] for entry in listed["items"]] == [item["name"]]
    finally:
        cluster.run("scancel", owner)
        cancel_all(net, jobs)


def test_where_slurm_does_not_preempt_the_agent_gives_the_owner_its_node_and_the_job_goes_on(net, clusters):
    cluster = clusters("gamma", yields=False)
    net.slurm_site(cluster, surplus="{grace: 5s}")
    jobs = fill(net, cluster, last=150)
    owner = cluster.owner("sleep 20", "--exclusive", name="wants-a-node")
    row = begun(cluster, owner)
    item = reclaims(net, "gamma")[0]
    assert item["promise_ms"] == 60000 and not item["is_breach"] and item["attempts"] == 1
    assert item["held_ms"] >= 1 and row["start_time"] - row["eligible_time"] <= 30
    for job in jobs:
        view = net.wait_job(job, seconds=120)
        assert view["state"] == "succeeded", net.about(job)
    views = [net.job(job) for job in jobs]
    taken = [view for view in views if len(view["attempts"]) > 1]
    assert len(taken) == 1 and taken[0]["attempts"][0]["outcome"] == "preempted", views
    log = net.log(taken[0]["id"])
    assert "asked at" in log and "begins at 0" in log  # it had notice, and went on where it was
    assert len([line for line in log.splitlines() if "begins at 0" in line]) == 1
    assert all(row["job_state"] != "PREEMPTED" for row in named(cluster, taken[0]["id"]))


def test_a_promise_that_was_broken_is_an_alarm(net, clusters):
    cluster = clusters("gamma", yields=False)
    # The site says that Slurm takes work off, and Slurm does not: nothing yields.
    net.slurm_site(cluster, surplus="{reclaim: engine, promise: 3s, grace: 1s}")
    jobs = fill(net, cluster)
    owner = cluster.owner("sleep 5", "--exclusive", name="waits-in-vain")
    try:
        item = net.wait(lambda: [row for row in net.admin.get("/v1/reclaims").json()["items"] if row["is_breach"]], 40,
                        "the breach")[0]
        assert item["is_open"] and item["held_ms"] > 3000
        cancel_all(net, jobs)
        begun(cluster, owner)
        done = net.wait(lambda: [row for row in net.admin.get("/v1/reclaims").json()["items"]
                                 if row["name"] == item["name"] and not row["is_open"]], 30, "its end")[0]
        # Slurm's own whole seconds have the last word.
        assert done["is_breach"] and done["held_ms"] >= item["held_ms"] - 1000
        audit = net.admin.get("/v1/audit?limit=1000").json()["items"]
        assert len([row for row in audit if row["action"] == "site.reclaim_breach"]) == 1
        assert "lq_reclaim_breaches_total 1" in net.admin.get("/metrics").body.decode()
    finally:
        cluster.run("scancel", owner)
        cancel_all(net, jobs)
