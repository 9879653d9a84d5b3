"""How much of a site was used: recorded while it happens, kept over a kill -9, and shown to whom it concerns."""

import csv
import io
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import RawSite
from test_cli_errors import Person

JOURNAL = "jrn_" + "0" * 25 + "1"


@pytest.fixture
def somebody(network, tmp_path):
    def login(token):
        person = Person(tmp_path / f"home-{len(token)}-{token[-6:]}")
        path = tmp_path / "token"
        path.write_text(token + "\n")
        person.lq("login", network.server.address, "--ca", network.server.ca, "--token-file", path)
        return person
    return login


def pool_of(answer, site):
    return next((item for item in answer["items"] if item["site"] == site), None)


def test_a_run_is_recorded_and_outlives_a_kill(network, somebody):
    network.site("alpha", cpus=2)
    network.wait(lambda: pool_of(network.admin.get("/v1/utilisation").json(), "alpha"), 60, "the first figures")
    person = somebody(network.server.admin_token)
    job = network.submit({"name": "one", "run": "sleep 20", "resources": {"cpus": 1, "memory": "64MiB"}})
    network.wait_job(job, "succeeded", seconds=90)
    wall_ms = network.wait(lambda: next((item["wall_ms"] for item in network.admin.get("/v1/usage", by="job").json()["items"]), 0),
                           what="usage")

    def recorded():
        item = pool_of(person.json("utilisation", "--from", "1h"), "alpha")
        return item if item is not None and item["sums"]["pool_core_us"] >= 0.9 * wall_ms * 1000 else None

    item = network.wait(recorded, 60, "the record")
    assert item["pool"] == "cpu x2" and item["unit"] == "cores"
    assert item["sums"]["pool_core_us"] <= 1.1 * wall_ms * 1000
    assert item["before_pct"] == 0 and 0 < item["after_pct"] <= 50
    assert item["sums"]["owner_core_us"] == 0

    network.server.restart("kill")
    again = pool_of(person.json("utilisation", "--from", "1h"), "alpha")
    assert again["sums"]["pool_core_us"] == item["sums"]["pool_core_us"]
    assert again["sums"]["observed_ms"] >= item["sums"]["observed_ms"]

    text = person.lq("utilisation", "--threshold", "100")
    assert "cores held: o by their owners, # by the pool" in text and "below 100 %" in text
    assert "cores: 0.0 % before" in text
    for what in ("site", "operator", "region"):
        assert what.upper() in person.lq("utilisation", "--by", what)
    person.lq("utilisation", "--by", "colour", code=2)
    assert all(len(line) <= 80 for line in text.splitlines() if line.startswith(" ")), "plain: 80 columns"
    rows = list(csv.DictReader(io.StringIO(person.lq("utilisation", "--from", "1h", "--csv"))))
    assert sum(int(row["pool_core_us"]) for row in rows) == again["sums"]["pool_core_us"]


class Loaded:
    """A site that says what its owner does."""

    def __init__(self, network, tmp_path, name, operator):
        self.site, self.number = RawSite(network.server, tmp_path, name, operator=operator), 0

    def say(self, milli):
        self.number += 1
        node = {"node": 0, "up": True, "cpu_milli": 4000 - milli, "mem_bytes": 1 << 32,
                "load": {"owner_cpu_milli": milli, "busy": True, "owner_busy_cpu_milli": milli // 2, "pool_busy_cpu_milli": 0}}
        answer = self.site.client.post("/v1/agent/sync", {
            "protocol": 1, "agent_version": "0", "site": self.site.id, "journal": JOURNAL, "epoch_seen": 1,
            "request_seq": self.number, "usage_acked": 0, "usage_oldest": 1, "inventory": True, "attempts": [], "nodes": [node]})
        assert answer.status == 200, answer
        return answer


def test_owners_see_their_own_sites_and_tenants_none(network, somebody, tmp_path):
    server = network.server
    ours, theirs = Loaded(network, tmp_path, "ours", "op1"), Loaded(network, tmp_path, "theirs", "op2")

    def both():
        with ThreadPoolExecutor() as pool:  # a poll is held for a while
            list(pool.map(lambda said: said[0].say(said[1]), [(ours, 3000), (theirs, 1000)]))
        items = server.admin.get("/v1/utilisation").json()["items"]
        return len(items) == 2
    network.wait(both, 120, "both records")

    item = pool_of(server.admin.get("/v1/utilisation").json(), "ours")
    assert item["before_pct"] == 75 and item["after_pct"] == 75 and item["busy_before_pct"] == 37.5
    assert item["now"] == {"cpu_milli": 4000, "owner_cpu_milli": 3000, "pool_cpu_milli": 0, "devices": 0,
                           "owner_devices": 0, "pool_devices": 0}
    nodes = server.admin.get("/v1/utilisation", nodes=1).json()["items"]
    assert [n["node"] for n in nodes] == ["n0", "n0"]

    operator = server.user("own", ["operator"], operator="op1")
    assert [i["site"] for i in operator.get("/v1/utilisation").json()["items"]] == ["ours"]
    assert operator.get("/v1/utilisation", site="theirs").status == 404
    member = server.user("mem", ["member"], server.tenant("lab"))
    assert member.get("/v1/utilisation").json()["items"] == []
    assert member.get("/v1/utilisation", site="ours").status == 404
    auditor = server.user("aud", ["auditor"])
    assert len(auditor.get("/v1/utilisation").json()["items"]) == 2


@pytest.mark.quick
def test_questions_that_make_no_sense_are_refused(network, somebody):
    admin = network.admin
    assert admin.get("/v1/utilisation").json()["items"] == []
    for query in ({"from": "yesterday"}, {"points": 0}, {"points": 100000}, {"nodes": 2}, {"what": 1},
                  {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}):
        answer = admin.get("/v1/utilisation", **query)
        assert answer.status == 400, (query, answer)
    assert admin.get("/v1/utilisation", site="nowhere").status == 404
    person = somebody(network.server.admin_token)
    person.lq("utilisation", "--points", "0", code=2)
    person.lq("utilisation", "--threshold", "101", code=2)
    assert person.lq("utilisation") == "" and "nothing has been recorded" in person.said
