"""What goes wrong on a cluster, and what the pool makes of it: nothing lost, nothing twice."""

import os
import signal

import pytest
from cluster import has_cgroups
from lingqu import kill_all, processes, usage_is_whole

# Counts in steps of 0.1 s, keeps the count in its checkpoint folder, and goes on where it was.
COUNTER = """
mkdir -p ckpt
n=$(cat ckpt/step 2>/dev/null || echo 0)
echo "begins at $n on $LQ_SITE"
save() { echo $n >ckpt/step.tmp && mv ckpt/step.tmp ckpt/step; }
trap 'save; echo "asked at $n"; exit 0' USR1
while [ $n -lt $LAST ]; do n=$((n+1)); [ $((n % 5)) = 0 ] && save; sleep 0.1; done
echo "counted to $n on $LQ_SITE"
"""
CHECKPOINT = {"dir": "ckpt", "signal": "USR1", "grace": "3s"}


def named(cluster, job):
    """The cluster's records of the job, in the order of their submission."""
    found = [row for row in cluster.jobs() if row["name"].startswith("lq-") and job.removeprefix("job_") in row["name"]]
    return sorted(found, key=lambda row: row["job_id"])


def wait_named(cluster, job, *states):
    return cluster.wait(lambda: [row for row in named(cluster, job) if row["job_state"] in states], 40,
                        f"{job} {states}")[-1]


def slow_tools(cluster, name, scripts):
    """A folder of Slurm's commands, some of them replaced by scripts; and a file that tells them something."""
    tools = os.path.join(cluster.folder, name)
    os.makedirs(tools)
    mark = os.path.join(tools, "mark")
    for command in ("sbatch", "squeue", "sinfo", "scancel", "scontrol"):
        path = os.path.join(tools, command)
        if command not in scripts:
            os.symlink(f"/usr/bin/{command}", path)
            continue
        with open(path, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\n" + scripts[command].format(mark=mark))
        os.chmod(path, 0o755)
    return tools, mark


def test_an_agent_killed_while_sbatch_answers_finds_its_job_by_name_and_submits_no_second(net, clusters):
    cluster = clusters("alpha")
    tools, mark = slow_tools(cluster, "slow", {
        "sbatch": "[ -e {mark} ] && exec /usr/bin/sbatch \"$@\"\n/usr/bin/sbatch \"$@\" >{mark}\nexec sleep 3333\n"})
    agent = net.slurm_site(cluster, bin=tools)
    job = net.submit("echo ran; sleep 1", name="mid-submit")
    net.wait(lambda: os.path.exists(mark) and os.path.getsize(mark), 30, "a job that the agent does not know of")
    agent.kill()
    kill_all("sleep 3333")
    agent.start()
    view = net.wait_job(job)
    assert view["state"] == "succeeded" and len(view["attempts"]) == 1, net.about(job)
    assert len(named(cluster, job)) == 1
    assert net.log(job).count("ran") == 1
    usage_is_whole(net.settle())


def test_an_agent_that_is_killed_takes_over_what_runs_on_the_cluster(net, clusters):
    cluster = clusters("alpha")
    agent = net.slurm_site(cluster)
    job = net.submit("echo one; sleep 3; echo two", name="adopted", num_nodes=2)
    net.wait_log(job, "one", rank=1)
    agent.restart("kill")
    view = net.wait_job(job)
    assert view["state"] == "succeeded" and len(view["attempts"]) == 1, net.about(job)
    assert len(named(cluster, job)) == 1


def test_while_slurmctld_is_away_work_goes_on_ends_and_is_told_and_new_work_waits(net, clusters):
    cluster = clusters("alpha")
    agent = net.slurm_site(cluster)
    job = net.submit("echo up; sleep 3; echo done", name="headless")
    net.wait_log(job, "up")
    cluster.end("slurmctld", signal.SIGKILL)
    try:
        view = net.wait_job(job)
        assert view["state"] == "succeeded" and len(view["attempts"]) == 1, net.about(job)
        agent.restart("kill")  # nothing is known of the engine: no inventory, and nothing is called absent
        waits = net.submit("echo late", name="late")
    finally:
        cluster.start_controller()
    cluster.wait(cluster.is_idle, 60, "nodes after the controller's return")
    view = net.wait_job(waits, seconds=90)
    assert view["state"] == "succeeded", net.about(waits)
    assert [a["outcome"] for a in view["attempts"]].count("succeeded") == 1
    # A controller that dies before it has saved a job's start starts that job again: a second launch, which finds
    # no secret and an end record, and leaves. Slurm then drains the node for "Duplicate jobid".
    assert net.log(job).count("up") == 1
    for node, (_, flags) in cluster.states().items():
        if "DRAIN" in flags:
            cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    for row in cluster.jobs():
        if row["job_state"] == "PENDING":
            cluster.run("scancel", str(row["job_id"]))
    usage_is_whole(net.settle())


def test_scontrol_reconfigure_disturbs_nothing(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    job = net.submit("echo up; sleep 2", name="reconfigured")
    net.wait_log(job, "up")
    cluster.run("scontrol", "reconfigure")
    view = net.wait_job(job)
    assert view["state"] == "succeeded" and len(view["attempts"]) == 1, net.about(job)


@pytest.mark.skipif(not has_cgroups(), reason="Slurm's stop signal reaches the sandbox itself without proctrack/cgroup")
def test_work_that_the_owner_preempts_checkpoints_and_goes_on_at_another_site(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster, ask="0.01")
    job = net.submit(COUNTER, name="yields", envs={"LAST": "60"}, checkpoint=CHECKPOINT)
    net.wait_log(job, "begins at 0 on alpha")
    net.site("beta", ask="0.50")
    row = wait_named(cluster, job, "RUNNING")
    owners = [cluster.owner("sleep 300", "--exclusive", f"--nodelist={node}", name="reclaims") for node in cluster.nodes]
    try:
        view = net.wait_job(job)
        assert view["state"] == "succeeded", net.about(job)
        assert [a["outcome"] for a in view["attempts"]] == ["preempted", "succeeded"], net.about(job)
        assert view["attempts"][1]["site_name"] == "beta", net.about(job)
        first = net.wait_log(job, "asked at", attempt=1)
        asked = int(first.split("asked at ")[1].split()[0])
        assert f"begins at {asked} on beta" in net.wait_log(job, "counted to 60", attempt=2)
        assert next(r for r in named(cluster, job))["job_state"] == "PREEMPTED"
        starts = [r["start_time"] - r["eligible_time"] for r in cluster.jobs("reclaims")]
        assert max(starts) <= 10, starts
        assert row["job_id"] == named(cluster, job)[0]["job_id"] and len(named(cluster, job)) == 1
    finally:
        cluster.run("scancel", *owners)
        cluster.wait(cluster.is_idle, 30, "nodes without the owner")
    usage_is_whole(net.settle())


def test_a_signal_that_reaches_the_program_before_its_supervisor_is_none_of_the_programs_errors(net, clusters):
    net.slurm_site(clusters("alpha"))
    job = net.submit("echo up; exec sleep 4567", name="signalled")
    net.wait_log(job, "up")
    program = net.wait(lambda: [pid for pid, (_, argv) in processes().items() if argv == "sleep 4567"], 10, "the program")[0]
    supervisor = [pid for pid, (_, argv) in processes().items() if "lq-supervise" in argv and job.removeprefix("job_") in argv]
    os.kill(program, signal.SIGTERM)  # as Slurm does without control groups: to each process of the job, in some order
    net.wait(lambda: program not in processes(), 10, "its end")
    for pid in supervisor:
        os.kill(pid, signal.SIGTERM)
    view = net.wait(lambda: next((v for v in [net.job(job)] if v["attempts"][0]["state"] == "ended"), None), 20, lambda: net.about(job))
    assert view["attempts"][0]["outcome"] == "preempted" and view["state"] != "failed", net.about(job)
    net.admin.post(f"/v1/jobs/{job}:cancel")
    net.wait_job(job)


def test_what_the_administrator_requeues_is_over_and_is_never_run_again_there(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    job = net.submit("echo attempt $LQ_ATTEMPT; sleep 4", name="requeued")
    net.wait_log(job, "attempt 1")
    row = wait_named(cluster, job, "RUNNING")
    cluster.run("scontrol", "update", f"jobid={row['job_id']}", "requeue=1")
    cluster.run("scontrol", "requeue", str(row["job_id"]))
    view = net.wait_job(job, seconds=60)
    assert view["state"] == "succeeded", net.about(job)
    assert [a["outcome"] for a in view["attempts"]] == ["preempted", "succeeded"], net.about(job)
    assert net.log(job, attempt=1).count("attempt 1") == 1


def test_what_the_administrator_cancels_is_tried_again(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    job = net.submit("echo attempt $LQ_ATTEMPT; sleep 3", name="cancelled-there")
    net.wait_log(job, "attempt 1")
    cluster.run("scancel", str(wait_named(cluster, job, "RUNNING")["job_id"]))
    view = net.wait_job(job, seconds=60)
    assert view["state"] == "succeeded" and len(view["attempts"]) == 2, net.about(job)


def test_an_end_that_slurm_has_forgotten_is_read_from_the_end_record(net, clusters):
    cluster = clusters("alpha")
    tools, mark = slow_tools(cluster, "forgetful", {
        "squeue": "[ -e {mark} ] && echo '{{\"jobs\":[]}}' && exit 0\nexec /usr/bin/squeue \"$@\"\n"})
    agent = net.slurm_site(cluster, bin=tools)
    job = net.submit("echo up; sleep 2; exit 3", name="purged")
    net.wait_log(job, "up")
    row = wait_named(cluster, job, "RUNNING")
    agent.kill()
    end = os.path.join(agent.work, row["name"], "rank-0", "end.json")
    net.wait(lambda: os.path.exists(end), 20, "the end record")
    cluster.run("scancel", str(row["job_id"]))  # the supervisor would wait for its agent for half a minute
    wait_named(cluster, job, "CANCELLED")
    with open(mark, "w", encoding="ascii"):
        pass
    agent.start()
    view = net.wait_job(job)
    assert (view["state"], view["exit_code"], view["outcome"]) == ("failed", 3, "program_error"), net.about(job)


def test_a_drained_node_gets_nothing_and_a_partition_that_takes_no_jobs_is_left_again(net, clusters):
    cluster = clusters("alpha")
    net.slurm_site(cluster)
    for node in cluster.nodes:
        cluster.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")
    try:
        free = "/v1/sites/alpha"
        net.wait(lambda: net.admin.get(free).json()["nodes_up"] == 0 or None, 20,
                 lambda: f"no free node: {net.admin.get(free).body}")
    finally:
        for node in cluster.nodes:
            cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
    job = net.submit("true", name="after-drain")
    assert net.wait_job(job)["state"] == "succeeded"


def test_an_account_without_rights_is_refused_in_slurms_own_words(net, clusters):
    cluster = clusters("alpha")
    cluster.run("scontrol", "update", "partition=surplus", "AllowGroups=root")
    try:
        net.slurm_site(cluster)
        job = net.submit("true", name="no-rights")
        log = net.wait_log(job, "[lingqu]")
        assert "not permitted to use this partition" in log, log
        assert not named(cluster, job)
    finally:
        cluster.run("scontrol", "update", "partition=surplus", "AllowGroups=ALL")
