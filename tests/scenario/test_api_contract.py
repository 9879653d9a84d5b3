"""What every client may count on: idempotency, versions, cursors, events, health, metrics, the audit chain."""

import hashlib
import json
import re
import struct
import threading

import pytest

from conftest import RawSite

JOB = {"name": "one", "run": "true", "resources": {"cpus": 1}}


# ---- idempotency

@pytest.mark.quick
def test_the_same_request_under_a_key_gives_the_same_answer_also_after_a_restart(make_server):
    server = make_server()
    first = server.admin.post("/v1/jobs", JOB, **{"Idempotency-Key": "k1"})
    again = server.admin.post("/v1/jobs", JOB, **{"Idempotency-Key": "k1"})
    assert first.status == again.status == 201
    assert first.json() == again.json()
    server.restart("kill")
    after = server.admin.post("/v1/jobs", JOB, **{"Idempotency-Key": "k1"})
    assert after.status == 201 and after.json() == first.json()
    assert len(server.admin.get("/v1/jobs").json()["items"]) == 1


@pytest.mark.quick
def test_another_request_under_a_key_is_refused(shared_server):
    admin = shared_server.admin
    assert admin.post("/v1/jobs", JOB, **{"Idempotency-Key": "k2"}).status == 201
    answer = admin.post("/v1/jobs", {**JOB, "name": "two"}, **{"Idempotency-Key": "k2"})
    assert answer.status == 409 and answer.json()["code"] == "idempotency_mismatch"
    answer = admin.post("/v1/tenants", {"name": "k2"}, **{"Idempotency-Key": "k2"})
    assert answer.status == 409 and answer.json()["code"] == "idempotency_mismatch"


def test_requests_that_come_at_once_under_one_key_do_one_thing_and_get_one_answer(shared_server):
    answers, start = [], threading.Barrier(16)

    def go():
        client = shared_server.client(shared_server.admin_token)
        client.get("/v1/whoami")
        start.wait()
        answers.append(client.post("/v1/jobs", {**JOB, "name": "race"}, **{"Idempotency-Key": "k3"}))

    threads = [threading.Thread(target=go) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status for answer in answers} == {201}
    assert len({answer.body for answer in answers}) == 1
    assert len(shared_server.admin.get("/v1/jobs", name="race").json()["items"]) == 1


def test_keys_of_one_user_are_not_those_of_another(shared_server):
    member = shared_server.user("keys", ["member"], shared_server.tenant("keys"))
    one = shared_server.admin.post("/v1/jobs", JOB, **{"Idempotency-Key": "k4"})
    other = member.post("/v1/jobs", JOB, **{"Idempotency-Key": "k4"})
    assert one.json()["jobs"][0]["id"] != other.json()["jobs"][0]["id"]


def test_a_refusal_is_not_kept_under_a_key(shared_server):
    admin = shared_server.admin
    assert admin.post("/v1/jobs", {"name": "x"}, **{"Idempotency-Key": "k5"}).status == 400
    assert admin.post("/v1/jobs", JOB, **{"Idempotency-Key": "k5"}).status == 201


def test_a_repeated_token_request_gives_the_secret_again_and_the_disk_never_has_it(make_server):
    server = make_server()
    first = server.admin.post("/v1/tokens", {"label": "t"}, **{"Idempotency-Key": "k6"})
    again = server.admin.post("/v1/tokens", {"label": "t"}, **{"Idempotency-Key": "k6"})
    assert first.status == again.status == 201 and first.json() == again.json()
    secret = first.json()["token"]
    assert server.client(secret).get("/v1/whoami").status == 200
    join = server.admin.post("/v1/join-tokens", {"site": "a", "operator": "o"}, **{"Idempotency-Key": "k7"})
    assert join.json() == server.admin.post("/v1/join-tokens", {"site": "a", "operator": "o"},
                                            **{"Idempotency-Key": "k7"}).json()
    server.stop()
    for name in ("lingqu.db", "lingqu.db-wal"):
        try:
            with open(f"{server.state}/{name}", "rb") as file:
                data = file.read()
        except FileNotFoundError:
            continue
        assert secret.encode() not in data
        assert join.json()["token"].split(".")[0].encode() not in data


# ---- versions

def test_an_update_names_the_version_it_changes(shared_server):
    admin = shared_server.admin
    shared_server.region("etag")
    policy = admin.get("/v1/policy").json()
    first = admin.put("/v1/policy", policy)
    tag = first.headers["etag"]
    second = admin.put("/v1/policy", policy, **{"If-Match": tag})
    assert second.status == 200 and second.headers["etag"] != tag
    stale = admin.put("/v1/policy", policy, **{"If-Match": tag})
    assert stale.status == 412 and stale.json()["code"] == "stale"
    assert admin.put("/v1/policy", policy, **{"If-Match": "nonsense"}).status == 400
    assert admin.get("/v1/policy").headers["etag"] == second.headers["etag"]


def test_jobs_are_cancelled_in_the_version_that_was_seen(shared_server):
    admin = shared_server.admin
    job = admin.post("/v1/jobs", JOB).json()["jobs"][0]["id"]
    tag = admin.get(f"/v1/jobs/{job}").headers["etag"]
    assert admin.post(f"/v1/jobs/{job}:cancel", **{"If-Match": '"999"'}).status == 412
    assert admin.post(f"/v1/jobs/{job}:cancel", **{"If-Match": tag}).status == 200
    assert admin.get(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    assert admin.post(f"/v1/jobs/{job}:retry", **{"If-Match": tag}).status == 412
    assert admin.post(f"/v1/jobs/{job}:retry").status == 200
    assert admin.get(f"/v1/jobs/{job}").json()["state"] == "pending"


# ---- pages

def test_pages_show_everything_once_while_more_comes_in(shared_server):
    admin = shared_server.admin
    tenant = shared_server.tenant("pages")
    made = {job for _ in range(4)
            for job in admin.post("/v1/jobs?tenant=pages", {"jobs": [JOB] * 25}).json()["jobs"]}
    seen, cursor = [], None
    while True:
        query = {"tenant": tenant, "limit": 7, **({"cursor": cursor} if cursor else {})}
        page = admin.get("/v1/jobs", **query).json()
        seen += [job["id"] for job in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
        admin.post("/v1/jobs?tenant=pages", JOB)
    assert len(seen) == len(set(seen)) and set(seen) == made
    assert seen == sorted(seen, reverse=True)
    for bad in ("cursor=zzz", "limit=0", "limit=1001", "limit=x", "colour=red", "state=lost"):
        assert admin.get("/v1/jobs?" + bad).status == 400, bad


def test_documents_come_in_pages_too(shared_server):
    admin = shared_server.admin
    for i in range(9):
        shared_server.region(f"page{i}")
    names, cursor = [], None
    while True:
        page = admin.get("/v1/regions", limit=2, **({"cursor": cursor} if cursor else {})).json()
        names += [region["name"] for region in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(names) == len(set(names)) and {f"page{i}" for i in range(9)} <= set(names)


# ---- events

def read_events(response, count):
    """(id, kind, data) of the next events of the stream."""
    events, now = [], {}
    while len(events) < count:
        line = response.readline().decode()
        assert line, "the stream ended"
        line = line.rstrip("\n")
        if line == "" and now:
            if "id" in now:
                events.append((int(now["id"]), now.get("event"), json.loads(now["data"])))
            now = {}
        elif ": " in line and not line.startswith(":"):
            name, value = line.split(": ", 1)
            now[name] = value
    return events


@pytest.mark.quick
def test_events_come_as_they_happen_and_go_on_where_a_reader_stopped(server):
    watcher = server.client(server.admin_token)
    stream = watcher.send("GET", "/v1/events")
    assert stream.status == 200 and stream.getheader("Content-Type") == "text/event-stream"
    job = server.admin.post("/v1/jobs", JOB).json()["jobs"][0]["id"]
    seen = []
    while not any(event[2].get("subject") == job for event in seen):
        seen += read_events(stream, 1)
    watcher.close()
    later = [server.admin.post("/v1/jobs", JOB).json()["jobs"][0]["id"] for _ in range(5)]
    stream = watcher.send("GET", "/v1/events", headers={"Last-Event-ID": str(seen[-1][0])})
    more = read_events(stream, 5)
    watcher.close()
    assert [event[2]["subject"] for event in more] == later
    numbers = [event[0] for event in seen + more]
    assert numbers == sorted(set(numbers))
    server.restart("kill")
    watcher = server.client(server.admin_token)
    stream = watcher.send("GET", f"/v1/events?after={seen[-1][0]}")
    assert read_events(stream, 5) == more


def test_a_tenants_watcher_sees_its_own_events_only(shared_server):
    mine = shared_server.user("watch-a", ["viewer"], shared_server.tenant("watch-a"))
    shared_server.tenant("watch-b")
    admin = shared_server.admin
    other = admin.post("/v1/jobs?tenant=watch-b", JOB).json()["jobs"][0]["id"]
    own = admin.post("/v1/jobs?tenant=watch-a", JOB).json()["jobs"][0]["id"]
    stream = mine.send("GET", "/v1/events")
    subjects = []
    while own not in subjects:
        subjects += [event[2]["subject"] for event in read_events(stream, 1)]
    mine.close()
    assert other not in subjects


def test_a_watcher_that_reads_nothing_costs_no_memory_and_harms_nobody(server):
    idle = [server.client(server.admin_token) for _ in range(20)]
    for client in idle:
        client.send("GET", "/v1/events")
    before = server.process.rss_mib()
    for _ in range(20):
        assert server.admin.post("/v1/jobs", {"jobs": [JOB] * 500}).status == 201
    assert server.admin.get("/v1/stats").json()["jobs_pending"] == 10000
    assert server.process.rss_mib() - before < 400  # 20 x 1 MiB of pending answers, and the jobs
    for client in idle:
        client.close()


# ---- health and metrics

METRIC = re.compile(r'^[a-zA-Z_:][a-zA-Z0-9_:]*(\{[a-zA-Z_][a-zA-Z0-9_]*="[^"]*"(,[a-zA-Z_][a-zA-Z0-9_]*="[^"]*")*\})? -?[0-9.e+-]+$')


def test_metrics_are_prometheus_text(shared_server):
    answer = shared_server.admin.get("/metrics")
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    kinds, seen = {}, set()
    assert answer.body.endswith(b"\n")
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("gauge", "counter") and name not in kinds
            assert kind != "counter" or name.endswith("_total")
            kinds[name] = kind
        elif not line.startswith("# HELP "):
            assert METRIC.match(line), line
            assert line.split(" ")[0] not in seen, line
            seen.add(line.split(" ")[0])
            assert re.split(r"[{ ]", line)[0] in kinds, line
    assert "lq_ready" in seen and "lq_store_changes_total" in seen


def test_health_and_description_need_no_token(shared_server):
    nobody = shared_server.client()
    assert nobody.get("/healthz").json() == {"status": "ok"}
    assert nobody.get("/readyz").json() == {"status": "ready"}
    assert nobody.get("/v1/openapi.json").json()["openapi"] == "3.1.0"


# ---- the audit chain (docs/formats/audit.md)

def audit_hash(record):
    parts = [b"lingqu-audit-1\n\0", struct.pack("<QQ", record["seq"], record["at_us"])]
    detail = record.get("detail")
    texts = [record["actor"], record.get("tenant", ""), record["action"], record.get("subject", ""),
             "" if detail is None else json.dumps(detail, separators=(",", ":"), ensure_ascii=False)]
    for text in texts:
        data = text.encode()
        parts += [struct.pack("<Q", len(data)), data]
    parts.append(bytes.fromhex(record["previous"]))
    return hashlib.sha256(b"".join(parts)).hexdigest()


def audit_all(admin):
    records, after = [], 0
    while after is not None:
        page = admin.get("/v1/audit", after=after, limit=100).json()
        records += page["items"]
        after = page["next"]
    return records


def audit_check(records):
    previous = "0" * 64
    for number, record in enumerate(records, 1):
        assert record["seq"] == number
        assert record["previous"] == previous
        assert record["hash"] == audit_hash(record), record
        previous = record["hash"]


@pytest.mark.quick
def test_the_audit_chain_holds_and_every_change_stands_in_it(make_server, folder):
    server = make_server()
    admin = server.admin
    server.region()
    tenant = server.tenant("audited")
    member = server.user("audited", ["member"], tenant)
    site = RawSite(server, folder)
    site_id = site.id
    job = member.post("/v1/jobs", JOB).json()["jobs"][0]["id"]
    changes = [
        lambda: member.post("/v1/jobs", JOB),
        lambda: member.post(f"/v1/jobs/{job}:cancel"),
        lambda: member.post(f"/v1/jobs/{job}:retry"),
        lambda: admin.put("/v1/sites/alpha", site.body),
        lambda: admin.post(f"/v1/sites/{site_id}:drain"),
        lambda: admin.post(f"/v1/sites/{site_id}:resume"),
        lambda: admin.post(f"/v1/sites/{site_id}:destroyed", {"reason": "flood"}),
        lambda: admin.delete(f"/v1/sites/{site_id}"),
        lambda: admin.put("/v1/regions/east", {"name": "east", "jurisdiction": "CN"}),
        lambda: admin.put("/v1/links/east/west", {"a": "east", "b": "west", "rtt_ms": 30, "source": "example"}),
        lambda: admin.put("/v1/policy", admin.get("/v1/policy").json()),
        lambda: admin.post("/v1/tenants", {"name": "more"}),
        lambda: admin.put("/v1/tenants/more", {"name": "more", "weight": 2}),
        lambda: admin.delete("/v1/tenants/more"),
        lambda: admin.post("/v1/users", {"name": "somebody", "roles": ["auditor"]}),
        lambda: admin.put(f"/v1/users/{member.user}", {"name": "audited", "roles": ["viewer"], "tenant": tenant}),
        lambda: admin.post("/v1/tokens", {"label": "x"}),
        lambda: admin.delete(f"/v1/tokens/{member.token_id}"),
        lambda: admin.post("/v1/join-tokens", {"site": "beta", "operator": "op1"}),
    ]
    for number, change in enumerate(changes):
        before = len(audit_all(admin))
        answer = change()
        assert answer.status in (200, 201), (number, answer)
        assert len(audit_all(admin)) > before, number
    before = len(audit_all(admin))
    RawSite(server, folder, "gamma")
    assert {"site.join", "site.create", "site.certificate"} <= {r["action"] for r in audit_all(admin)[before:]}
    audit_check(audit_all(admin))
    server.restart("kill")
    records = audit_all(server.admin)
    audit_check(records)
    broken = [dict(record) for record in records]
    broken[3]["actor"] = "usr_somebody_else"
    with pytest.raises(AssertionError):
        audit_check(broken)
