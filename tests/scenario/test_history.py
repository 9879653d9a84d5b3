"""What a living network recorded, replayed: the same jobs, the same work; and what another policy would have done."""

import json
import os

import pytest

from conftest import ROOT
from test_cli_errors import Person, write

NOT_TOLD = ("secret-name", "secret-value", "sleep 2")


@pytest.fixture
def person(network, tmp_path):
    somebody = Person(tmp_path / "home")
    token = tmp_path / "admin.token"
    token.write_text(network.server.admin_token + "\n")
    somebody.lq("login", network.server.address, "--ca", network.server.ca, "--token-file", token)
    return somebody


@pytest.fixture
def worked(network):
    """Two sites that have run an array, and a job that failed and was retried."""
    network.site("alpha", cpus=2)
    network.site("beta", cpus=2)
    for name in ("alpha", "beta"):
        network.wait(lambda name=name: network.admin.get(f"/v1/sites/{name}").json().get("is_open"), what="contact")
    small = {"cpus": 1, "memory": "64MiB"}
    answer = network.admin.post("/v1/jobs", {"name": "secret-name", "run": "sleep 2", "envs": {"KEY": "secret-value"},
                                             "resources": small, "array": {"count": 6}})
    assert answer.status == 201, answer
    jobs = [job["id"] for job in network.admin.get("/v1/jobs").json()["items"]]
    assert len(jobs) == 6
    failing = network.submit({"name": "failing", "run": "sleep 1; exit 3", "resources": small, "retries": 1})
    for job in [*jobs, failing]:
        network.wait_job(job, seconds=90)
    return jobs, failing


def held_core_hours(network):
    usage = network.admin.get("/v1/usage", by="site").json()["items"]
    return sum(item["cpu_held_ms"] for item in usage) / 3.6e6


def test_a_replayed_history_is_the_recorded_work(network, person, worked, tmp_path):
    path = tmp_path / "history.jsonl"
    person.lq("history", "export", "--from", "1h", "-o", path)
    text = path.read_text()
    assert not any(word in text for word in NOT_TOLD), "what jobs run is nobody's business"
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[0]["kind"] == "history"
    assert {"site", "region", "tenant", "job"} <= {line["kind"] for line in lines}
    failing = next(line for line in lines if line.get("id") == worked[1])
    assert [attempt["outcome"] for attempt in failing["attempts"]] == ["program_error"] * 2

    report = person.json("sim", "run", path)
    assert report["jobs"] == 7 and report["never"] == 0 and report["kills"] == 0
    assert report["core_hours"] == pytest.approx(held_core_hours(network), rel=1e-3)
    assert person.lq("sim", "run", path, "--json") == person.lq("sim", "run", path, "--json")

    scenario = tmp_path / "elsewhere.yaml"
    scenario.write_text(f"topology: {os.path.join(ROOT, 'data/topology/demo.yaml')}\n"
                        f"workload: {{format: history, file: {path}}}\n")
    elsewhere = person.json("sim", "run", scenario)
    assert elsewhere["jobs"] == 7 and elsewhere["core_hours"] == pytest.approx(report["core_hours"], rel=1e-5)


def test_another_policy_is_tried_without_changing_anything(network, person, worked, tmp_path):
    standing = person.json("policy", "show")
    wish = write(tmp_path, 'time_value_per_hour: {standard: "0.01"}\ncarbon_price_per_tonne: "5000"\n', "wish.yaml")
    tried = person.json("policy", "try", wish, "--from", "1h")
    assert tried["jobs"] == 7
    for run in ("before", "after"):
        assert tried[run]["core_hours"] == pytest.approx(held_core_hours(network), rel=1e-3)
        assert tried[run]["never_started"] == 0
    assert tried["moved"] <= 7 and len(tried["changes"]) <= 20
    assert person.json("policy", "show") == standing

    same = person.json("policy", "try", write(tmp_path, "{}\n", "same.yaml"), "--from", "1h")
    assert same["moved"] == same["later"] == same["earlier"] == 0 and same["before"] == same["after"]

    words = person.lq("policy", "try", wish, "--from", "1h")
    assert "mean wait" in words and "7 jobs:" in words
    path = tmp_path / "history.jsonl"
    person.lq("history", "export", "--from", "1h", "-o", path)
    offline = person.json("policy", "try", wish, "--history", path, env={"LQ_SERVER": "127.0.0.1:1"})
    assert offline["jobs"] == 7


@pytest.mark.quick
def test_histories_are_for_those_who_may_read_everything(network, person, tmp_path):
    server = network.server
    member = server.user("mem", ["member"], server.tenant("lab"))
    operator = server.user("own", ["operator"], operator="op1")
    for path in ("/v1/history/network", "/v1/history/jobs"):
        assert member.get(path).status == 403 and operator.get(path).status == 403
        assert server.admin.get(path).status == 200
        assert server.admin.get(path, cursor="nonsense").status == 400
    person.lq("history", "export", "--from", "2026-01-02", "--to", "2026-01-01", code=2)
    broken = write(tmp_path, "carbon_prize: 1\n", "broken.yaml")
    person.lq("policy", "try", broken, code=2)
    assert "carbon_prize" in person.said
    person.lq("policy", "try", write(tmp_path, "{}\n", "same.yaml"), code=3)
    assert "no job ran" in person.said
    head = '{"kind":"history","version":1,"from":"2026-01-01T00:00:00.000Z","to":"2026-01-02T00:00:00.000Z"}\n'
    person.lq("sim", "run", write(tmp_path, head + '{"kind":"wire"}\n', "h.jsonl"), code=2)
    assert "h.jsonl:2" in person.said
