"""A cluster whose owner changes his mind, that lies, and users who write what Slurm would read: nothing lost, nothing escaped."""

import pytest
from cluster import has_cgroups
from test_slurm_faults import COUNTER, named, slow_tools, wait_named


def view_of(net, job):
    return net.admin.get(f"/v1/jobs/{job}").json()


def test_an_owner_who_withdraws_everything_at_once_loses_no_job_of_the_pool(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    jobs = [net.submit(COUNTER, name=f"withdrawn-{i}", envs={"LAST": "60"}) for i in range(3)]
    for job in jobs:
        net.wait_log(job, "begins at 0")
    cluster.run("scontrol", "update", "PartitionName=surplus", "State=DOWN")
    try:
        for row in cluster.jobs():
            if row["name"].startswith("lq-") and row["job_state"] in ("RUNNING", "PENDING"):
                cluster.run("scancel", str(row["job_id"]))
        for job in jobs:
            net.wait(lambda job=job: view_of(net, job)["failures"].get("preempted") or None, 40,
                     lambda job=job: f"an end as preempted: {net.about(job)}")
    finally:
        cluster.run("scontrol", "update", "PartitionName=surplus", "State=UP")
    for job in jobs:
        view = net.wait_job(job, seconds=120)
        assert view["state"] == "succeeded" and view["failures"]["preempted"] >= 1, net.about(job)


def test_a_partition_that_vanishes_takes_its_nodes_with_it_and_gives_them_back(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    site = "/v1/sites/alpha"
    net.wait(lambda: net.admin.get(site).json()["nodes_up"] == 2 or None, 40, "free nodes")
    cluster.run("scontrol", "delete", "PartitionName=surplus")
    try:
        net.wait(lambda: net.admin.get(site).json()["nodes_up"] == 0 or None, 40, "no node of the pool's")
        job = net.submit("echo ran", name="waits")
    finally:
        cluster.run("scontrol", "create", "PartitionName=surplus", "Nodes=ALL", "PriorityTier=1", "PreemptMode=REQUEUE",
                    "GraceTime=0", "MaxTime=INFINITE", "State=UP")
    assert net.wait_job(job, seconds=60)["state"] == "succeeded"


def test_a_cluster_that_claims_more_gres_than_it_has_is_refused_in_its_own_words(net, clusters):
    cluster = clusters("alpha")
    tools, _ = slow_tools(cluster, "liar", {"sinfo": "/usr/bin/sinfo \"$@\" | sed 's/a100:4/a100:8/g'\n"})
    net.slurm_site(cluster, bin=tools)
    job = net.submit("true", name="eight", retry={"refused": 0},
                     resources={"cpus": 1, "accelerators": {"A100 80GB SXM": 8}})
    view = net.wait_job(job, seconds=60)
    assert view["state"] == "failed" and view["failures"] == {"refused": 1}, net.about(job)
    assert "node configuration is not available" in net.wait_log(job, "[lingqu]")
    assert all(row["job_state"] not in ("PENDING", "RUNNING") for row in named(cluster, job))


def test_what_looks_like_a_directive_is_only_text(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    script = "#!/bin/sh\n#SBATCH --nodes=2 --exclusive --uid=0\n#SBATCH --job-name=evil\necho \"$NOTE\"; echo uid $(id -u); sleep 2\n"
    job = net.submit(script, name="SBATCH --wrap=reboot", envs={"NOTE": "a\n#SBATCH --nodes=2\n$(id)"})
    row = wait_named(cluster, job, "RUNNING")
    assert row["nodes"] in cluster.nodes
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    log = net.wait_log(job, "uid ")
    assert "\n#SBATCH --nodes=2\n$(id)\n" in log and "uid 0\n" not in log


def test_a_job_that_is_held_before_it_starts_is_taken_back(net, clusters):
    cluster = clusters("alpha")
    tools, _ = slow_tools(cluster, "holding", {"sbatch": "exec /usr/bin/sbatch --hold \"$@\"\n"})
    policy = net.admin.get("/v1/policy").json()
    net.admin.put("/v1/policy", {**policy, "start_limit": "10s"})
    net.slurm_site(cluster, bin=tools)
    job = net.submit("echo ran", name="held")
    net.wait(lambda: view_of(net, job)["failures"].get("not_started") or None, 60,
             lambda: f"taken back: {net.about(job)}")
    cluster.wait(lambda: named(cluster, job)[0]["job_state"] == "CANCELLED" or None, 40, "the first one's end in Slurm")
    net.admin.post(f"/v1/jobs/{job}:cancel")
    assert net.wait_job(job)["state"] == "cancelled"
    cluster.wait(lambda: all(row["job_state"] != "PENDING" for row in named(cluster, job)) or None, 40, "an empty queue")


@pytest.mark.skipif(not has_cgroups(), reason="Slurm cannot limit memory here: no control groups of version 1 that can be written")
def test_a_program_that_slurm_kills_for_its_memory_is_out_of_memory_and_not_tried_again(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    job = net.submit("echo big; head -c 400M /dev/zero | tail -c 1 >/dev/null; tail /dev/zero", name="big", retries=3,
                     resources={"cpus": 1, "memory": "96MiB"})
    view = net.wait_job(job, seconds=60)
    assert (view["state"], view["outcome"]) == ("failed", "out_of_memory"), net.about(job)
    assert view["failures"] == {"out_of_memory": 1} and len(view["attempts"]) == 1
