"""What is lost and comes back: server, agent, link, whole sites; and work that moves."""

import os
import time

import pytest
from lingqu import Evidence, Net, audit_chain, journal_agrees, processes, usage_is_whole

# Counts to 60 in steps of 0.1 s, keeps each in its checkpoint folder, atomically, and goes on where it was.
COUNTER = """
mkdir -p ckpt
n=$(cat ckpt/step 2>/dev/null || echo 0)
echo "begins at $n on $LQ_SITE"
save() { echo $n >ckpt/step.tmp && mv ckpt/step.tmp ckpt/step; }
trap 'save; echo "asked at $n"; exit 0' USR1
while [ $n -lt $LAST ]; do n=$((n+1)); [ $((n % 5)) = 0 ] && save; sleep 0.1; done
echo "counted to $n on $LQ_SITE"
"""


@pytest.fixture
def net(folder):
    net = Net(folder)
    yield net
    net.stop()


@pytest.fixture
def evidence():
    evidence = Evidence()
    yield evidence
    evidence.close()


def two_sites(net, flags=(), cheap="alpha"):
    for name in ("alpha", "beta"):
        net.site(name, ask="0.01" if name == cheap else "0.50", flags=flags)


def running(agent):
    """Programs at a site; a supervisor alone is none."""
    table = processes()
    return [table[pid][1] for pid in agent.programs() if pid in table and " supervise " not in table[pid][1]]


def books(net):
    """At the end of a story: every record once, journals and audit chain whole."""
    records = net.settle()
    usage_is_whole(records)
    audit = net.everything_after("/v1/audit")
    assert audit_chain(audit) > 0
    for agent in net.agents.values():
        if agent.is_alive():
            agent.stop()
        journal_agrees(agent, records)


@pytest.mark.quick
def test_the_server_is_restarted_under_live_jobs_and_nothing_happens_to_them(net, evidence):
    net.site(flags=evidence.flags())
    jobs = [net.submit(evidence.script(f"j{i}", "sleep 3"), name=f"j{i}") for i in range(3)]
    for job in jobs:
        net.wait_running(job)
    net.server.restart("kill")
    for job in jobs:
        view = net.wait_job(job)
        assert view["state"] == "succeeded" and len(view["attempts"]) == 1, net.about(job)
    assert len(evidence.said("start")) == len(evidence.said("stop")) == 3
    evidence.no_double()
    books(net)


def test_work_ends_while_the_server_is_down_and_is_reported_with_log_and_outputs(net):
    agent = net.site()
    job = net.submit("echo before; sleep 1.5; echo after; echo kept >out.txt", name="alone", outputs=["out.txt"])
    net.wait_log(job, "before")
    net.server.kill()
    net.wait(lambda: not running(agent) or None, 20, "the program's end")
    net.server.start()
    view = net.wait_job(job)
    assert view["state"] == "succeeded" and len(view["attempts"]) == 1
    assert net.wait_log(job, "after") == "before\nafter\n"
    assert net.file(net.wait_artifact(job, "output")["id"], "out.txt") == b"kept\n"
    books(net)


@pytest.mark.quick
def test_an_agent_that_is_killed_and_started_again_adopts_what_runs(net, evidence):
    agent = net.site(flags=evidence.flags())
    job = net.submit(evidence.script("a", "echo one; sleep 2; echo two"), name="adopted")
    net.wait_log(job, "one")
    before = agent.programs()
    agent.restart("kill")
    assert before & agent.programs(), "the program was ended"
    view = net.wait_job(job)
    assert view["state"] == "succeeded" and len(view["attempts"]) == 1, net.about(job)
    assert net.wait_log(job, "two") == "one\ntwo\n"
    assert len(evidence.said("start")) == 1
    evidence.no_double()
    books(net)


def test_work_that_ends_while_the_agent_is_down_is_reported_when_it_is_back(net):
    agent = net.site()
    job = net.submit("echo one; sleep 1; echo two; exit 4", name="unseen")
    net.wait_log(job, "one")
    agent.kill()
    net.wait(lambda: not running(agent) or None, 20, "the end of the program")
    agent.start()
    view = net.wait_job(job)
    assert (view["state"], view["exit_code"], len(view["attempts"])) == ("failed", 4, 1), net.about(job)
    assert net.wait_log(job, "two") == "one\ntwo\n"
    books(net)


def test_an_agent_that_is_stopped_cleanly_leaves_its_work_running(net):
    agent = net.site()
    job = net.submit("sleep 2; echo done", name="left-running")
    net.wait_running(job)
    agent.stop()
    assert agent.programs()
    agent.start()
    assert net.wait_job(job)["state"] == "succeeded"
    books(net)


def test_strict_policy_waits_for_a_lost_site_and_hears_from_it(net, evidence):
    two_sites(net, evidence.flags())
    job = net.submit(evidence.script("s", "sleep 6"), name="strict")
    net.wait_running(job, site="alpha")
    net.agents["alpha"].kill()
    net.wait(lambda: net.job(job)["attempts"][-1]["state"] == "unknown", 20, "the site counted as lost")
    until = time.monotonic() + 3
    while time.monotonic() < until:
        view = net.job(job)
        assert view["state"] == "active" and len(view["attempts"]) == 1, "strict work was started again"
        time.sleep(0.1)
    net.agents["alpha"].start()
    view = net.wait_job(job)
    assert view["state"] == "succeeded" and len(view["attempts"]) == 1, net.about(job)
    assert len(evidence.said("start")) == 1
    books(net)


def test_a_lease_lets_work_go_on_elsewhere_from_its_checkpoint_when_a_site_dies_whole(net, evidence):
    two_sites(net, evidence.flags())
    job = net.submit(evidence.script("l", COUNTER), name="moves", envs={"LAST": "150"}, contact="lease",
                     checkpoint={"dir": "ckpt", "every": "1s"})
    net.wait_running(job, site="alpha")
    net.wait(lambda: net.job(job)["checkpoint"], 30, "a checkpoint copied on")
    net.agents["alpha"].kill_whole()
    view = net.wait_job(job, seconds=60)
    assert view["state"] == "succeeded", net.about(job)
    assert [attempt["site_name"] for attempt in view["attempts"]] == ["alpha", "beta"]
    assert view["attempts"][0]["state"] == "expired"
    log = net.wait_log(job, "counted to 150 on beta", attempt=2)
    begin = int(log.split("begins at ")[1].split()[0])
    assert begin >= 5, "it began anew"
    evidence.no_double()
    # the dead site comes back, tells what it knows, and starts nothing
    net.agents["alpha"].start()
    net.wait(lambda: net.admin.get("/v1/stats").json()["sites_lost"] == 0, 20, "alpha to be back")
    assert len(evidence.said("start")) == 2
    books(net)


def test_a_lease_ends_the_work_at_a_site_that_lost_its_agent_before_the_next_begins(net, evidence):
    two_sites(net, evidence.flags())
    job = net.submit(evidence.script("k", "sleep 12"), name="leased", contact="lease")
    net.wait_running(job, site="alpha")
    net.agents["alpha"].kill()  # the supervisor lives, and must end the program by itself
    net.wait_running(job, site="beta", seconds=40)
    net.wait(lambda: len(evidence.said("start")) == 2, 10, "the second start")
    assert not running(net.agents["alpha"]), "it runs twice"
    evidence.no_double()
    net.admin.post(f"/v1/jobs/{job}:cancel")
    net.wait_job(job)
    alpha = net.agents["alpha"].start()
    net.wait(lambda: [record for record in net.usage() if record["site"] == alpha.id], 20, "what alpha has metered")
    books(net)


def test_drain_checkpoints_the_work_and_it_goes_on_elsewhere(net, evidence):
    two_sites(net, evidence.flags())
    job = net.submit(evidence.script("d", COUNTER), name="drained", envs={"LAST": "80"},
                     checkpoint={"dir": "ckpt", "signal": "USR1", "grace": "5s", "every": "1h"})
    net.wait_running(job, site="alpha")
    net.wait_log(job, "begins at 0")
    time_to_count = time.monotonic() + 2
    net.wait(lambda: time.monotonic() > time_to_count, 5)
    answer = net.admin.post("/v1/sites/alpha:drain")
    assert answer.status in (200, 202), answer
    view = net.wait_job(job, seconds=60)
    assert view["state"] == "succeeded", net.about(job)
    assert [attempt["site_name"] for attempt in view["attempts"]] == ["alpha", "beta"]
    asked = int(net.log(job, attempt=1).split("asked at ")[1].split()[0])
    log = net.wait_log(job, "counted to 80 on beta", attempt=2)
    assert int(log.split("begins at ")[1].split()[0]) == asked >= 5
    evidence.no_double()
    # nothing new goes there until it is resumed
    other = net.submit("true", name="elsewhere")
    assert net.wait_job(other)["attempts"][0]["site_name"] == "beta"
    assert net.admin.post("/v1/sites/alpha:resume").status in (200, 202)
    last = net.submit("true", name="back")
    assert net.wait_job(last)["attempts"][0]["site_name"] == "alpha"
    books(net)


def test_a_job_that_waits_starts_when_a_site_joins_and_a_drained_site_may_leave(net):
    job = net.submit("echo here", name="waits")
    assert net.job(job)["state"] == "pending"
    agent = net.site("alpha")
    assert net.wait_job(job)["state"] == "succeeded"
    net.wait_log(job, "here")
    net.settle()
    assert net.admin.post("/v1/sites/alpha:drain").status in (200, 202)
    agent.stop()
    answer = net.admin.delete("/v1/sites/alpha")
    assert answer.status in (200, 204), answer
    assert net.admin.get("/v1/sites/alpha").status == 404
    view = net.job(job)
    assert view["state"] == "succeeded" and view["usage"]["wall_ms"] >= 0
    later = net.submit("true", name="nowhere")
    assert net.job(later)["state"] == "pending"


def test_an_agent_that_lost_its_journal_starts_nothing_twice(net, evidence):
    agent = net.site(flags=evidence.flags())
    job = net.submit(evidence.script("n", "sleep 4"), name="journal-lost")
    net.wait_running(job)
    agent.kill()
    for name in os.listdir(agent.state):
        if name.startswith("journal.db"):
            os.remove(os.path.join(agent.state, name))
    agent.start()
    view = net.wait_job(job, seconds=60)
    evidence.no_double()
    assert view["state"] == "succeeded", net.about(job)


def test_a_database_restored_from_an_older_copy_does_not_run_the_work_again(net, evidence, folder):
    import shutil
    agent = net.site(flags=evidence.flags())
    early = net.submit(evidence.script("early", "sleep 0.2"), name="early")
    net.wait_job(early)
    net.settle()
    net.server.stop()
    copy = os.path.join(folder, "copy")
    shutil.copytree(net.server.state, copy)
    net.server.start()
    running = net.submit(evidence.script("running", "sleep 6"), name="running")
    net.wait_running(running)
    net.server.kill()
    shutil.rmtree(net.server.state)
    shutil.copytree(copy, net.server.state)
    net.server.flags.append("--restored")
    net.server.start()
    net.server.flags.remove("--restored")
    assert net.job(early)["state"] == "succeeded"
    # the restored server knows nothing of the newer job; what runs of it is ended, and new work is taken
    assert net.admin.get(f"/v1/jobs/{running}").status == 404
    net.wait(lambda: not agent.programs() or None, 40, "the unknown attempt's end")
    later = net.submit(evidence.script("later", "true"), name="later")
    assert net.wait_job(later)["state"] == "succeeded", net.about(later)
    assert len(evidence.said("start", "early")) == 1
    evidence.no_double()
