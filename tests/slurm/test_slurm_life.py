"""A job's life on a real Slurm cluster."""

import os
import subprocess

from lingqu import LQ, usage_is_whole


def slurm_job(cluster, job):
    """The cluster's own record of the job's last attempt."""
    found = [row for row in cluster.jobs() if row["name"].startswith("lq-") and job.removeprefix("job_") in row["name"]]
    return max(found, key=lambda row: row["job_id"]) if found else None


def test_a_job_runs_on_the_cluster_and_its_log_result_and_usage_come_back(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    job = net.submit("""
        echo "i am $(id -u) in $PWD on $LQ_SITE node $LQ_NODE"
        echo result >answer.txt
        sleep 2
    """, name="first", outputs=["answer.txt"])
    view = net.wait_job(job)
    assert (view["state"], view["exit_code"], view["outcome"]) == ("succeeded", 0, "succeeded"), net.about(job)
    assert f"i am 65534 in /job on alpha node {cluster.tag}-n" in net.wait_log(job, "node")
    assert net.file(net.wait_artifact(job, "output")["id"], "answer.txt") == b"result\n"
    sums = usage_is_whole(net.settle())
    mine = next(total for key, total in sums.items() if key[1] == job)
    record = cluster.wait_job(slurm_job(cluster, job)["name"], "COMPLETED")
    assert record["partition"] == "surplus" and record["user_name"] == "nobody" and not record["requeue"]
    # Slurm counts whole seconds from the batch step's start to its end: the gate's wait, and the last words.
    slurm_ms = (record["end_time"] - record["start_time"]) * 1000
    assert 2000 <= mine["wall_ms"] <= slurm_ms + 1000
    assert slurm_ms - mine["wall_ms"] - mine["gate_wait_ms"] - mine["kill_wait_ms"] <= 3000


def test_output_comes_while_the_job_runs_and_cancelling_ends_it_in_slurm_too(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    job = net.submit("echo one; sleep 300", name="streams")
    net.wait_log(job, "one")
    net.wait_running(job)
    assert net.admin.post(f"/v1/jobs/{job}:cancel").status in (200, 202)
    view = net.wait_job(job)
    assert view["state"] == "cancelled" and view["attempts"][-1]["outcome"] == "revoked"
    cluster.wait(lambda: slurm_job(cluster, job)["job_state"] not in ("RUNNING", "COMPLETING"), 20, "its end in Slurm")


def test_a_failing_program_keeps_its_exit_code(net, clusters):
    net.slurm_site(clusters("alpha"))
    job = net.submit("echo about to fail; exit 7", name="fails")
    view = net.wait_job(job)
    assert (view["state"], view["exit_code"], view["outcome"]) == ("failed", 7, "program_error")


def test_a_gang_passes_the_gate_together_each_rank_on_its_node(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    job = net.submit('echo "rank $LQ_NODE_RANK of $LQ_NUM_NODES on $LQ_NODE at $LQ_NODE_ADDRS"; sleep 1', name="gang",
                     num_nodes=2)
    view = net.wait_job(job)
    assert view["state"] == "succeeded", net.about(job)
    for rank in (0, 1):
        assert f"rank {rank} of 2 on {cluster.tag}-n" in net.wait_log(job, "rank", rank=rank)
    record = slurm_job(cluster, job)
    assert record["node_count"] == 2


def test_devices_are_asked_for_as_gres_and_the_program_sees_the_ones_that_slurm_gave(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    blocker = cluster.owner("sleep 60", "--gres=gpu:a100:2", f"--nodelist={cluster.nodes[0]}", name="two-of-four")
    second = cluster.owner("sleep 60", "--exclusive", f"--nodelist={cluster.nodes[1]}", name="all-of-it")
    cluster.wait(lambda: all(j["job_state"] == "RUNNING" for j in cluster.jobs() if j["name"] in ("two-of-four", "all-of-it")),
                 30, "the owner's jobs")
    try:
        job = net.submit('echo "devices <$CUDA_VISIBLE_DEVICES>"', name="devices",
                         resources={"cpus": 1, "memory": "64MiB", "accelerators": "A100 80GB SXM:2"})
        view = net.wait_job(job)
        assert view["state"] == "succeeded", net.about(job)
        assert "devices <2,3>" in net.wait_log(job, "devices")
        assert "gpu:a100:2" in slurm_job(cluster, job)["tres_per_node"]
    finally:
        cluster.run("scancel", blocker, second)


def test_site_check_says_what_the_cluster_lends_and_changes_nothing(net, clusters):
    cluster = clusters("alpha")
    agent = net.slurm_site(cluster, start=False)
    file = agent.argv[agent.argv.index("--slurm") + 1]
    done = subprocess.run([LQ, "site", "check", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it could lend 2 nodes, 2 of them usable now: 16 processors, 8 accelerators" in done.stdout
    assert "comes after the owner's" in done.stdout and os.path.exists(file)
    del net.agents["alpha"]
