"""Usage and epochs over the API, from a site that says what it likes: replays, other bytes under a known key, gaps,
records that are gone for good, and sites that come from another epoch or speak another protocol."""

import pytest
from conftest import RawSite

JOURNAL = "jrn_" + "0" * 25 + "1"
QUANTITIES = 7


@pytest.fixture
def site(make_server, tmp_path):
    server = make_server()
    server.region("west")
    return RawSite(server, tmp_path, "alpha")


class Agent:
    """The site's syncs, numbered."""

    def __init__(self, site):
        self.site, self.number = site, 0
        job = site.server.admin.post("/v1/jobs", {"name": "metered", "run": "true", "resources": {"cpus": 1}})
        self.job = job.json()["jobs"][0]["id"]
        self.token = f"lq-1-{self.job.removeprefix('job_')}-1"

    def sync(self, **more):
        self.number += 1
        return self.site.client.post("/v1/agent/sync", {
            "protocol": 1, "agent_version": "0", "site": self.site.id, "journal": JOURNAL, "epoch_seen": 1,
            "request_seq": self.number, "usage_acked": 0, "usage_oldest": 1, "inventory": True, "attempts": [], **more})

    def record(self, seq, wall_ms=1000):
        quantities = [wall_ms] + [0] * (QUANTITIES - 1)
        return {"seq": seq, "token": self.token, "runtime": "cpu", "delta": quantities, "total": quantities,
                "measured_us": 1700000000000000}

    def records(self):
        items = self.site.server.admin.get("/v1/usage/records", limit=1000).json()["items"]
        return [(item["seq"], item["delta"]["wall_ms"]) for item in items]

    def audit(self):
        return [row["action"] for row in self.site.server.admin.get("/v1/audit", limit=1000).json()["items"]]


def test_a_record_is_kept_once_however_often_it_comes(site):
    agent = Agent(site)
    for _ in range(3):
        answer = agent.sync(usage=[agent.record(1), agent.record(2)])
        assert answer.status == 200, answer
        assert answer.json()["usage_acked"] == 2
    assert agent.records() == [(1, 1000), (2, 1000)]
    assert "usage.conflict" not in agent.audit()


def test_other_bytes_under_a_known_key_change_nothing_and_raise_an_alarm(site):
    agent = Agent(site)
    assert agent.sync(usage=[agent.record(1)]).status == 200
    assert agent.sync(usage=[agent.record(1, wall_ms=999999)]).status == 200
    assert agent.records() == [(1, 1000)]
    assert "usage.conflict" in agent.audit()
    site.server.restart("kill")
    assert agent.records() == [(1, 1000)]


def test_nothing_behind_a_gap_is_taken_and_the_records_can_come_in_order_afterwards(site):
    agent = Agent(site)
    assert agent.sync(usage=[agent.record(1)]).json()["usage_acked"] == 1
    for more in ({"usage": [agent.record(3)]}, {"usage": [agent.record(2), agent.record(4)]},
                 {"usage_acked": 1, "usage": [agent.record(3)]}):
        answer = agent.sync(**more)
        assert answer.status == 400 and "without a gap" in answer.json()["detail"], answer
    assert agent.records() == [(1, 1000)]
    answer = agent.sync(usage_acked=1, usage=[agent.record(2), agent.record(3)])
    assert answer.json()["usage_acked"] == 3, answer
    assert agent.records() == [(1, 1000), (2, 1000), (3, 1000)]


def test_a_site_that_was_promised_more_than_the_database_has_is_believed_and_nothing_is_skipped(site):
    agent = Agent(site)
    assert agent.sync(usage=[agent.record(1)]).json()["usage_acked"] == 1
    assert agent.sync(usage_acked=2, usage=[agent.record(3)]).status == 200
    assert agent.records() == [(1, 1000)], "taken over a gap"
    assert "database.regressed" in agent.audit()
    answer = agent.sync(usage_acked=1, usage=[agent.record(2), agent.record(3)])
    assert answer.json()["usage_acked"] == 3, answer


def test_what_a_site_has_lost_for_good_is_recorded_once_and_counting_goes_on(site):
    agent = Agent(site)
    assert agent.sync(usage_oldest=5).json()["usage_acked"] == 4
    assert agent.sync(usage_acked=4, usage_oldest=5, usage=[agent.record(5)]).json()["usage_acked"] == 5
    assert agent.records() == [(5, 1000)]
    assert agent.audit().count("usage.lost") == 1


def test_records_that_make_no_sense_are_refused_and_none_is_kept(site):
    agent = Agent(site)
    for bad in ({"seq": 0}, {"seq": 2 ** 64}, {"seq": -1}, {"token": "lq-1-x-1"}, {"delta": [1]}, {"delta": [-1] * 7},
                {"runtime": "abacus"}, {"total": ["1"] * 7}):
        answer = agent.sync(usage=[{**agent.record(1), **bad}])
        assert answer.status in (400, 422), (bad, answer)
    assert agent.records() == []
    assert agent.sync(usage=[agent.record(1)]).json()["usage_acked"] == 1


def test_a_site_that_has_seen_a_later_epoch_raises_the_databases_own(site):
    agent = Agent(site)
    assert agent.sync().json()["db_epoch"] == 1
    answer = agent.sync(epoch_seen=3)
    assert answer.status == 200, answer
    assert agent.sync(epoch_seen=3).json()["db_epoch"] == 4
    assert "database.regressed" in agent.audit()
    answer = agent.sync(epoch_seen=2 ** 40)
    assert answer.status == 422 and "epoch" in answer.json()["detail"], answer


@pytest.mark.parametrize("version", [0, 2, 99])
def test_another_protocol_version_is_refused_with_the_ones_that_are_spoken(site, version):
    answer = Agent(site).sync(protocol=version)
    assert answer.status == 501 and answer.json()["detail"] == "this server speaks 1 to 1", answer


def test_a_site_that_was_removed_is_no_longer_heard(site):
    agent = Agent(site)
    assert agent.sync(attempts=[]).status == 200
    job = site.server.admin.get(f"/v1/jobs/{agent.job}").json()
    if job["attempts"]:  # it was offered here; the site says that it never began
        site.server.admin.post(f"/v1/jobs/{agent.job}:cancel")
        never = {"token": agent.token, "phase": "never", "outcome": "revoked", "age_ms": 1}
        assert agent.sync(attempts=[never]).status == 200
    assert site.server.admin.delete("/v1/sites/alpha").status in (200, 204)
    assert agent.sync(usage=[agent.record(1)]).status in (401, 403)
    assert agent.records() == []
