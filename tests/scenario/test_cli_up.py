"""lq up: a whole network from a file; the relay; what a second start finds."""

import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import LQ, ROOT
from lingqu import with_text
from test_cli_errors import Person

DEMO = os.path.join(ROOT, "data", "topology", "demo.yaml")
SMALL = """
settings: {lease_floor: 4s, contact_limit: 3s, start_limit: 20s, kill_limit: 2s, usage_every: 1s}
regions:
  - {name: west, role: train, jurisdiction: CN}
  - {name: east, role: serve, jurisdiction: CN}
sites:
  - {name: far, region: west, operator: op, ask_per_cpu_hour: "0.04", ask_source: "example: made up",
     nodes: [{name: n, count: 2, cpus: 1, memory: 512MiB}]}
  - {name: near, region: east, operator: op, ask_per_cpu_hour: "0.09", ask_source: "example: made up",
     nodes: [{name: n, count: 1, cpus: 1, memory: 512MiB}]}
links:
  - {a: far, b: near, rtt_ms: 40, source: example}
tenants:
  - {name: lab}
  - {name: team, parent: lab, quota: {cpus: 2}}
"""
JOB = "name: hello\nresources: {cpus: 1, memory: 64MiB}\nrun: |\n  echo begun at $LQ_SITE\n  sleep %d\n"


class Up:
    """`lq up`, until it says how to use it."""

    def __init__(self, state, topology, *flags):
        self.state = str(state)
        self.process = subprocess.Popen([LQ, "up", str(topology), "--state", self.state, *flags], text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.said = ""
        while "export LQ_HOME=" not in self.said:
            line = self.process.stdout.readline()
            assert line, self.process.stderr.read()
            self.said += line
        self.person = Person(os.path.join(self.state, "home"))

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        self.said += out
        assert self.process.returncode == 0, err
        assert not with_text(self.state), "something was left running"


@pytest.fixture
def up(folder, tmp_path):
    topology = tmp_path / "small.yaml"
    topology.write_text(SMALL)
    networks = []

    def start(*flags, state="net"):
        networks.append(Up(os.path.join(folder, state), topology, *flags))
        return networks[-1]

    yield start
    for network in networks:
        if network.process.poll() is None:
            network.stop()


@pytest.mark.quick
def test_a_network_comes_up_runs_work_and_goes_down_and_comes_again(up, tmp_path):
    network = up("--delay")
    person = network.person
    assert {site["name"]: site["contact"] for site in person.json("sites")["items"]} == {"far": "ok", "near": "ok"}
    assert "40.0 ms round trip to the server, emulated" in network.said and "(example price)" in network.said
    assert person.json("link", "list")["items"][0]["rtt_ms"] == 40
    assert person.json("policy", "show")["lease_floor"] == "4s"
    assert person.json("tenant", "show", "team")["quota"] == {"cpus": 2}
    job = tmp_path / "job.yaml"
    job.write_text(JOB % 0)
    plan = person.json("submit", job, "--dry-run")
    assert plan["chosen"] == "far" and {site["site"] for site in plan["sites"]} == {"far", "near"}
    assert "begun at far" in person.lq("submit", "-y", "-f", job, "--tenant", "team")
    first = person.json("jobs")["items"][0]["id"]
    job.write_text(JOB % 600)
    long_job = person.lq("submit", "-y", job).strip()
    until = time.monotonic() + 30
    while "begun" not in person.lq("logs", long_job):
        assert time.monotonic() < until
        time.sleep(0.1)
    network.stop(signal.SIGINT)
    again = up("--delay")
    jobs = {item["id"]: item["state"] for item in again.person.json("jobs")["items"]}
    assert jobs[first] == "succeeded" and jobs[long_job] in ("active", "pending")
    assert len(again.person.json("tenant", "list")["items"]) == 3
    again.person.lq("cancel", long_job)
    assert again.person.json("audit-log", "--verify")["is_intact"]


@pytest.mark.quick
def test_one_folder_is_one_network(up, tmp_path):
    network = up()
    answer = subprocess.run([LQ, "up", DEMO, "--state", network.state], capture_output=True, text=True, check=False)
    assert answer.returncode == 6 and "another lq up" in answer.stderr
    network.stop()
    answer = subprocess.run([LQ, "up", DEMO, "--state", network.state], capture_output=True, text=True, check=False)
    assert answer.returncode == 6 and "network of another file" in answer.stderr
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text(SMALL.replace("region: east", "region: eest"))
    answer = subprocess.run([LQ, "up", wrong], capture_output=True, text=True, check=False)
    assert answer.returncode == 2 and f"{wrong}:9:" in answer.stderr and "did you mean" in answer.stderr


def test_a_child_that_dies_ends_the_network_with_its_reason(up):
    network = up()
    agent = next(pid for pid in with_text("/sites/near") if pid != network.process.pid)
    os.kill(agent, signal.SIGKILL)
    _, err = network.process.communicate(timeout=60)
    assert network.process.returncode == 1
    assert "agent of near was ended by signal 9" in err
    assert not with_text(network.state)


def echo(server):
    connection, _ = server.accept()
    with connection:
        while data := connection.recv(65536):
            connection.sendall(data)


@pytest.mark.quick
def test_the_relay_holds_every_byte_back_and_loses_none():
    with socket.create_server(("127.0.0.1", 0)) as server:
        read_end, write_end = os.pipe()
        process = subprocess.Popen([LQ, "relay", "127.0.0.1:0", f"127.0.0.1:{server.getsockname()[1]}", "--delay-ms",
                                    "20.5", "--ready-fd", str(write_end)], pass_fds=(write_end,),
                                   stderr=subprocess.DEVNULL)
        os.close(write_end)
        with os.fdopen(read_end) as pipe:
            port = int(pipe.readline().rsplit(":", 1)[1])
        thread = threading.Thread(target=echo, args=(server,))
        thread.start()
        try:
            with socket.create_connection(("127.0.0.1", port)) as client:
                trips = []
                for _ in range(10):
                    begun = time.monotonic()
                    client.sendall(b"x")
                    assert client.recv(1) == b"x"
                    trips.append((time.monotonic() - begun) * 1000)
                assert trips[0] >= 82  # a handshake more
                assert min(trips[1:]) >= 41
                assert sorted(trips[1:])[4] < 80, trips
                payload = os.urandom(8 << 20)
                sender = threading.Thread(target=lambda: (client.sendall(payload), client.shutdown(socket.SHUT_WR)))
                sender.start()
                got = b""
                while data := client.recv(1 << 20):
                    got += data
                sender.join()
                assert got == payload
        finally:
            process.terminate()
            assert process.wait(30) == 0
            thread.join(30)
