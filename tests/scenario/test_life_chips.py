"""One job, two kinds of chip that both run here: the processor by plain C, and PoCL's OpenCL device (tools/setup --test
installs it). Each is tried once; then the job goes where a step of its work costs least."""

import json
import os
import shutil
import subprocess

import pytest
from lingqu import living_net
from living import ROOT, site_body

CPU, OPENCL = 0, 1
EXAMPLE = os.path.join(ROOT, "examples", "mixed-chips")


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """The example's folder, built."""
    folder = str(tmp_path_factory.mktemp("chips") / "example")
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("nbody", "checkpoints"))
    subprocess.run(["./build.sh"], cwd=folder, check=True, timeout=60)
    return folder


@pytest.fixture(scope="module")
def net():
    with living_net() as net:
        net.site("alpha", nodes=["n0:cpus=1,mem=2GiB,accelerators=PoCL CPU*1,runtime=opencl"],
                 flags=["--ask", "PoCL CPU=0.01"])
        yield net


def lq(net, *argv, code=0):
    done = subprocess.run(
        [os.environ["LQ"], *argv], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "LQ_HOME": os.path.join(net.folder, "home"), "LQ_SERVER": net.server.address,
             "LQ_CA": net.server.ca, "LQ_TOKEN": net.server.admin_token})
    assert done.returncode == code, (argv, done.returncode, done.stdout, done.stderr)
    return done.stdout


def plan(folder, name, **changes):
    """A file with the example's job, with fewer bodies."""
    spec = {
        "name": name, "workload": "n-body", "workdir": ".", "resources": {"cpus": 1, "memory": "1GiB"},
        "run": "exec ./nbody --engine $ENGINE --bodies 1024 --steps $STEPS --checkpoint-dir checkpoints",
        "variants": [{"runtime": "cpu", "envs": {"ENGINE": "native", "STEPS": 5000}},
                     {"runtime": "opencl", "accelerators": 1, "envs": {"ENGINE": "opencl", "STEPS": 500}}],
        "time_limit": "10m", "expected": "10s", **changes}
    path = os.path.join(folder, f"{name}.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump(spec, file)
    return path


def submit(net, folder, name, **changes):
    reply = json.loads(lq(net, "submit", "-y", "--json", plan(folder, name, **changes)))
    return reply["jobs"][0]["id"]


def run(net, folder, name, **changes):
    """The variant that it ran as."""
    job = submit(net, folder, name, **changes)
    view = net.wait_job(job, seconds=180)
    assert view["state"] == "succeeded", net.about(job)
    variant = view["attempts"][-1]["variant"]
    net.wait_log(job, ("native: step", "opencl: step")[variant])
    return variant


def explained(net, job):
    """Its explanation, once it is placed or waits for a place."""
    def look():
        told = json.loads(lq(net, "explain", job, "--json"))
        return told if told["choices"] else None
    return net.wait(look, 30, f"an explanation of {job}")


def cheapest(told):
    """The variant whose work costs least by its own explanation, where all are measured."""
    cost = {}
    for one in told["choices"]:
        assert one["speed"] == "measured" and one["explore"] == "0.00", told
        cost[one["variant"]] = float(one["ask_per_million_units"])
        by_hand = float(one["ask_per_hour"]) / 3600 / (one["units_per_s_micro"] / 1e6) * 1e6
        assert cost[one["variant"]] == pytest.approx(by_hand, rel=0.001, abs=0.000002), one
    return min(cost, key=cost.get)


def test_the_agent_here_finds_the_opencl_device():
    found = json.loads(subprocess.run([os.environ["LQ"], "site", "devices", "--json"], capture_output=True,
                                      text=True, check=True, timeout=60).stdout)
    assert {"opencl"} == {one["runtime"] for one in found["devices"]}, "tools/setup --test installs PoCL"
    assert [one["model"] for one in found["devices"]] == ["PoCL CPU"]


def test_each_kind_is_tried_once_and_then_the_cheapest_a_unit_is_kept_to(net, program):
    tried = [run(net, program, f"try-{i}") for i in range(2)]
    assert sorted(tried) == [CPU, OPENCL], "each kind once"

    items = json.loads(lq(net, "throughput", "--json"))["items"]
    assert [one["name"] for one in items] == ["n-body"]
    rate = {kind["runtime"]: kind["units_per_s_micro"] for kind in items[0]["kinds"]}
    assert set(rate) == {"cpu", "opencl"} and all(rate.values()), items
    assert "PoCL CPU*1" in lq(net, "throughput")

    before = cheapest(json.loads(lq(net, "submit", "--dry-run", "--json", plan(program, "asked"))))
    job = submit(net, program, "settled")
    view = net.wait_job(job, seconds=180)
    assert view["state"] == "succeeded", net.about(job)
    assert view["attempts"][-1]["variant"] == before, (before, items)


def reprice(net, device):
    """The device's price an hour; the core's stays 0.10."""
    node = {"name": "n0", "cpus": 1, "memory": "2GiB", "accelerators": "PoCL CPU:1", "runtime": "opencl"}
    answer = net.admin.put("/v1/sites/alpha", site_body("alpha", nodes=[node], ask_includes_energy=True,
                                                        ask_per_card_hour={"PoCL CPU": f"{device:.6f}"}))
    assert answer.status == 200, answer


def test_a_price_moves_the_work_to_the_kind_that_is_cheaper_a_unit_now(net, program):
    rate = {kind["runtime"]: kind["units_per_s_micro"]
            for kind in json.loads(lq(net, "throughput", "--json"))["items"][0]["kinds"]}
    even = 0.10 * rate["opencl"] / rate["cpu"] - 0.10  # where both cost the same a unit
    if even > 0.002:
        reprice(net, even / 2)
        assert run(net, program, "cheap-device") == OPENCL
    reprice(net, 3 * max(even, 0) + 0.1)
    assert run(net, program, "dear-device") == CPU


def test_what_was_measured_outlives_the_server(net, program):
    before = json.loads(lq(net, "throughput", "--json"))
    net.server.kill()
    net.server.start()
    assert json.loads(lq(net, "throughput", "--json")) == before
    job = submit(net, program, "after")
    assert {one["speed"] for one in explained(net, job)["choices"]} == {"measured"}
    assert net.wait_job(job, seconds=180)["state"] == "succeeded"


def test_explain_tells_people_what_a_unit_costs_where(net, program):
    job = submit(net, program, "told")
    explained(net, job)
    text = lq(net, "explain", job)
    assert "UNITS/S" in text and "A MILLION UNITS" in text and "measured" in text
    net.wait_job(job, seconds=180)


def test_a_job_that_reports_nothing_is_tried_on_each_kind_and_no_longer(net):
    spec = {"workload": "silent", "variants": [{"runtime": "cpu"}, {"runtime": "opencl", "accelerators": 1}],
            "resources": {"cpus": 0.5, "memory": "64MiB"}, "time_limit": "1m", "expected": "1s"}
    ran = []
    for i in range(9):
        job = net.submit("true", name=f"silent-{i}", **spec)
        view = net.wait_job(job)
        assert view["state"] == "succeeded", net.about(job)
        ran.append(view["attempts"][-1]["variant"])
    assert ran.count(OPENCL) == 3, ran  # as often as a kind is tried, then by the hour
    assert ran[-1] == CPU
