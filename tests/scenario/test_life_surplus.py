"""A host site's contract: what its owner excludes, asks for and when, and what a person is told of it."""

import json
import time

import pytest
from lingqu import Net


@pytest.fixture
def net(folder):
    net = Net(folder)
    yield net
    net.stop()


def contract(net, name, text):
    path = f"{net.folder}/{name}.yaml"
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return ("--surplus", path)


def why(net, job, site):
    answer = net.admin.get(f"/v1/jobs/{job}/explain")
    assert answer.status == 200, answer
    return next(line for line in answer.json()["sites"] if line["site"] == site)


def test_a_site_that_excludes_the_class_is_passed_over_and_the_owner_may_change_his_mind(net):
    cheap = net.site("alpha", ask="0.01", flags=contract(net, "alpha", "exclude_classes: [standard]\n"))
    net.site("beta", ask="0.50")
    net.wait(lambda: net.admin.get("/v1/sites/alpha").json()["surplus"]["exclude_classes"], 20, "the contract")
    job = net.submit("sleep 60", name="excluded")
    net.wait_running(job, site="beta")
    line = why(net, job, "alpha")
    assert line["filter"] == "excluded" and "does not lend" in line["reason"], line
    contract(net, "alpha", "{}")
    cheap.restart("stop")
    net.wait(lambda: "surplus" not in net.admin.get("/v1/sites/alpha").json(), 20, "the change")
    second = net.submit("sleep 60", name="welcome")
    net.wait_running(second, site="alpha")
    changes = [row for row in net.everything("/v1/audit") if row["action"] == "site.surplus"]
    assert [row["detail"] for row in changes] == [{"exclude_classes": ["standard"]}, {}], changes
    for each in (job, second):
        net.admin.post(f"/v1/jobs/{each}:cancel")


def test_outside_its_window_and_below_its_floor_nothing_comes(net):
    hour = (time.gmtime().tm_hour + 2) % 24
    net.site("alpha", ask="0.01", flags=contract(net, "alpha", f'windows: ["{hour:02}:00-{(hour + 1) % 24:02}:00"]\n'))
    net.site("beta", ask="0.02", flags=contract(net, "beta", 'floor_per_cpu_hour: "0.05"\n'))
    for site in ("alpha", "beta"):
        net.wait(lambda site=site: "surplus" in net.admin.get(f"/v1/sites/{site}").json(), 20, "the contract")
    job = net.submit("true", name="nowhere")
    net.wait(lambda: why(net, job, "alpha")["filter"] == "window", 20, "its reason")
    assert why(net, job, "beta")["filter"] == "floor"
    net.site("gamma", ask="0.50")
    assert net.wait_job(job)["state"] == "succeeded", json.dumps(net.about(job), default=str)


def test_a_reserve_keeps_nodes_free(net):
    net.site("alpha", nodes=("n0:cpus=1,mem=1GiB", "n1:cpus=1,mem=1GiB"),
             flags=contract(net, "alpha", "pools: [{nodes: [n*], reserve_nodes: 1}]\n"))
    jobs = [net.submit("sleep 60", name=f"one-{number}", resources={"cpus": 1, "memory": "64MiB"}) for number in range(2)]
    net.wait(lambda: any(net.job(job)["state"] == "active" for job in jobs), 20, "the first")
    waits = net.wait(lambda: [job for job in jobs if net.job(job)["state"] == "pending" and why(net, job, "alpha")["filter"] == "busy"],
                     20, "the second")
    assert len(waits) == 1
    for job in jobs:
        net.admin.post(f"/v1/jobs/{job}:cancel")
