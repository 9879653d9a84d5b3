"""Content that nothing names and old logs go; what is needed stays."""

import hashlib
import os
import sqlite3
import time

DAY = 86400
NAMES = ("loose", "young loose", "young", "old", "needed", "ended")


def put(admin, data):
    name = hashlib.sha256(data).hexdigest()
    assert admin.call("PUT", f"/v1/chunks/{name}", data).status == 204
    return name


def register(admin, data):
    entry = {"path": "f", "kind": "file", "mode": 420, "size": len(data), "chunks": [[put(admin, data), len(data)]]}
    answer = admin.post("/v1/artifacts", {"kind": "workdir", "manifest": {"format": 1, "entries": [entry]}})
    assert answer.status == 201, answer
    return answer.json()["id"]


def age(folder, days):
    for at, _, names in os.walk(folder):
        for name in names:
            then = time.time() - days * DAY
            os.utime(os.path.join(at, name), (then, then))


def test_a_sweep_takes_what_nothing_names_and_nothing_else(make_server):
    server = make_server("--sweep-first", "1s")
    admin = server.admin
    texts = {name: name.encode() * (1000 + number) for number, name in enumerate(NAMES)}
    loose = put(admin, texts["loose"])
    artifacts = {name: register(admin, texts[name]) for name in ("young", "old", "needed", "ended")}
    job = {"run": "true", "resources": {"cpus": 1}}
    assert admin.post("/v1/jobs", {**job, "name": "a", "workdir": artifacts["needed"]}).status == 201
    ended = admin.post("/v1/jobs", {**job, "name": "b", "workdir": artifacts["ended"]}).json()["jobs"][0]["id"]
    assert admin.post(f"/v1/jobs/{ended}:cancel").status == 200
    server.stop()
    age(os.path.join(server.state, "chunks"), 2)
    logs = {days: os.path.join(server.state, "logs", f"lq-1-{days:026}-1") for days in (1, 40)}
    for days, path in logs.items():
        os.makedirs(path)
        with open(os.path.join(path, "0"), "wb") as file:
            file.write(b"x")
        age(path, days)
    with sqlite3.connect(os.path.join(server.state, "lingqu.db")) as db:
        for name in ("old", "needed", "ended"):
            done = db.execute("UPDATE artifact SET created_at = created_at - ? WHERE size = ?",
                              (8 * DAY * 1000000, len(texts[name])))
            assert done.rowcount >= 1, name
    db.close()
    server.start()
    admin = server.admin
    fresh = put(admin, texts["young loose"])
    until = time.monotonic() + 30
    while admin.get(f"/v1/chunks/{loose}").status != 404 or os.path.exists(logs[40]):
        assert time.monotonic() < until
        time.sleep(0.05)

    def is_there(name):
        return admin.get(f"/v1/chunks/{hashlib.sha256(texts[name]).hexdigest()}").status == 200

    assert admin.get(f"/v1/chunks/{fresh}").status == 200
    assert is_there("young") and is_there("needed")
    assert not is_there("old") and not is_there("ended")
    assert os.path.exists(logs[1])
    assert admin.get(f"/v1/artifacts/{artifacts['old']}").status == 200  # the record stays
