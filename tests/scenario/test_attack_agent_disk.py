"""The disk under the agent is full: nothing is lost, nothing runs twice, and it goes on when there is room."""

import os
import subprocess
import time

import pytest
from lingqu import Evidence, Net, journal_agrees, usage_is_whole


@pytest.fixture
def small_disk(folder):
    """A file system of 96 MiB for the site's state."""
    path = os.path.join(folder, "alpha")
    os.makedirs(path)
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "lingqu-test", path],
                                           capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    yield path
    subprocess.run(["umount", path], check=True)


def fill(path):
    """Every last block."""
    with open(path, "wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def test_a_full_disk_under_the_agent_delays_work_and_loses_none(folder, small_disk):
    evidence, net = Evidence(), Net(folder)
    try:
        agent = net.site(flags=evidence.flags())
        running = net.submit(evidence.script("r", "sleep 3"), name="running", resources={"cpus": 0.5, "memory": "64MiB", "scratch": "16MiB"})
        net.wait_running(running)
        filler = os.path.join(small_disk, "filler")
        fill(filler)
        jobs = [net.submit(evidence.script(f"w{i}", "sleep 0.2"), name=f"w{i}",
                           resources={"cpus": 0.5, "memory": "64MiB", "scratch": "16MiB"}) for i in range(3)]
        full_until = time.monotonic() + 5
        net.wait(lambda: time.monotonic() > full_until, 10)
        assert agent.is_alive(), open(agent.log, encoding="utf-8").read()[-3000:]
        assert net.admin.get("/v1/stats").status == 200
        for job in [running, *jobs]:
            assert net.job(job)["state"] != "failed", net.about(job)
        os.remove(filler)
        for job in [running, *jobs]:
            view = net.wait_job(job, seconds=90)
            assert view["state"] == "succeeded", net.about(job)
        evidence.no_double()
        assert len(evidence.said("start", "r")) == 1, "what ran was started again"
        records = net.settle(60)
        usage_is_whole(records)
        agent.stop()
        journal_agrees(agent, records)
    finally:
        try:
            net.stop()
        finally:
            evidence.close()


def test_an_agent_that_starts_on_a_full_disk_says_so_or_waits_and_loses_nothing(folder, small_disk):
    net = Net(folder)
    try:
        agent = net.site()
        job = net.submit("echo a; sleep 2; echo b", name="across")
        net.wait_log(job, "a\n")
        agent.kill()
        filler = os.path.join(small_disk, "filler")
        fill(filler)
        started = None
        try:
            agent.start()
            started = True
        except RuntimeError as error:
            assert "disk" in str(error) or "space" in str(error) or "full" in str(error), error
        os.remove(filler)
        if not started or not agent.is_alive():
            agent.start()
        view = net.wait_job(job, seconds=60)
        assert view["state"] == "succeeded" and len(view["attempts"]) == 1, net.about(job)
        usage_is_whole(net.settle(60))
    finally:
        net.stop()
