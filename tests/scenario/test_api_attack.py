"""Bad input and attack: a clear error or a clean refusal, nothing lost, and the server goes on."""

import json
import os
import resource
import signal
import socket
import subprocess
import time

import pytest

from conftest import LQ, RawSite

JOB = {"name": "one", "run": "true", "resources": {"cpus": 1}}
BODIES = {
    "nothing": b"", "not JSON": b"{", "two values": b"{}{}", "a comma": b'{"name":"x",}', "NaN": b'{"name":NaN}',
    "a duplicate key": b'{"name":"a","name":"b","run":"x"}', "bad UTF-8": b'{"name":"\xff\xfe"}',
    "overlong UTF-8": b'{"name":"\xc0\xaf"}', "a lone surrogate": b'{"name":"\\ud800"}', "a NUL": b'{"name":"a\\u0000b","run":"x"}',
    "deep": b'{"a":' * 100 + b"1" + b"}" * 100, "deep lists": b"[" * 100000, "an array": b"[]", "a number": b"1",
    "past 2^63": b'{"name":"x","run":"y","num_nodes":9223372036854775808}',
    "past 2^64": b'{"name":"x","run":"y","num_nodes":99999999999999999999999999}',
    "past double": b'{"name":"x","run":"y","budget":1e999}', "negative": b'{"name":"x","run":"y","num_nodes":-1}',
    "a line feed in a name": b'{"name":"x\\ny","run":"y"}', "# in front": b'{"name":"# rm -rf /","run":"y"}',
    "a wrong type": b'{"name":{},"run":[]}', "a byte order mark": b"\xef\xbb\xbf{}", "UTF-16": '{"name":"x"}'.encode("utf-16"),
}


@pytest.mark.parametrize("what", list(BODIES))
def test_bad_bodies_are_refused_with_a_reason_on_every_route_that_takes_one(shared_server, what):
    admin = shared_server.admin
    with open(os.path.join(os.path.dirname(__file__), "../../docs/api/openapi.json"), encoding="utf-8") as file:
        paths = json.load(file)["paths"]
    for path, methods in paths.items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {})
            if "application/json" not in content or operation["x-ownership"] in ("agent", "job", "site", "user", "tenant_id"):
                continue
            target = path.replace("{region}", "west").replace("{a}", "a").replace("{b}", "b")
            answer = admin.call(method.upper(), target, BODIES[what], {"Content-Type": "application/json"})
            if answer.status == 201 and what == "nothing":
                continue
            assert answer.status in (400, 413, 422, 403), (what, method, path, answer)
            problem = answer.json()
            assert answer.headers["content-type"] == "application/problem+json"
            assert problem["status"] == answer.status and problem["code"] and problem["detail"]
    assert admin.get("/healthz").status == 200


@pytest.mark.quick
def test_unknown_fields_are_named_with_the_nearest_known_one(shared_server):
    admin = shared_server.admin
    for body, field, nearest in (({**JOB, "retires": 2}, "retires", "retries"),
                                 ({**JOB, "resources": {"cpu": 1}}, "resources.cpu", "cpus")):
        answer = admin.post("/v1/jobs", body)
        assert answer.status == 400 and nearest in answer.json()["detail"], answer
        assert answer.json()["field"].endswith(field.rsplit(".", maxsplit=1)[-1]) and answer.json()["line"] == 1
    assert "label" in admin.post("/v1/tokens", {"lable": "x"}).json()["detail"]


def test_what_is_too_large_is_refused_before_it_is_read(shared_server):
    admin = shared_server.admin
    assert admin.call("PUT", "/v1/policy", b" " * (2 << 20)).status == 413
    admin.close()
    assert admin.call("PUT", "/v1/chunks/" + "0" * 64, b"x" * (5 << 20)).status == 413
    admin.close()
    assert admin.post("/v1/jobs", {"jobs": [JOB] * 1001}).status in (400, 413)
    assert admin.post("/v1/jobs", {**JOB, "array": 10001}).status == 400
    assert admin.post("/v1/jobs", {**JOB, "run": "x" * 300000}).status in (400, 413)
    assert admin.post("/v1/jobs", {**JOB, "envs": {f"V{i}": "x" * 1000 for i in range(200)}}).status in (400, 413)
    assert admin.call("GET", "/v1/jobs?name=" + "x" * 9000).status == 414
    admin.close()
    assert admin.call("GET", "/v1/jobs", None, {"X": "x" * 40000}).status == 431
    admin.close()
    assert admin.call("POST", "/v1/jobs", json.dumps(JOB), {"Idempotency-Key": "k" * 129}).status == 400


def test_chunks_must_be_what_they_are_called(shared_server):
    import hashlib
    admin = shared_server.admin
    data = os.urandom(10000)
    name = hashlib.sha256(data).hexdigest()
    assert admin.call("PUT", f"/v1/chunks/{name}", data[:-1]).status == 400
    assert admin.call("PUT", f"/v1/chunks/{name}", b"").status == 400
    assert admin.get(f"/v1/chunks/{name}").status == 404
    assert admin.call("PUT", f"/v1/chunks/{name}", data).status == 204
    assert admin.call("PUT", f"/v1/chunks/{name}", data).status == 204
    assert admin.get(f"/v1/chunks/{name}").body == data
    for bad in ("..", "x", "../../ca.key", name.upper(), name + "0"):
        assert admin.get(f"/v1/chunks/{bad}").status in (400, 404)
    other = shared_server.user("chunk-thief", ["member"], shared_server.tenant("chunk-thief"))
    assert other.get(f"/v1/chunks/{name}").status == 404
    assert other.post("/v1/chunks:missing", {"hashes": [name]}).json() == {"missing": [name]}


def test_manifests_with_evil_paths_or_absent_chunks_are_refused(shared_server):
    admin = shared_server.admin

    def register(*entries):
        return admin.post("/v1/artifacts", {"kind": "workdir", "manifest": {"format": 1, "entries": list(entries)}})

    for path in ("../x", "/etc/passwd", "a/../../b", "a//b", ".", "", "a\0b", "a/./b", "x" * 5000):
        assert register({"path": path, "kind": "folder", "mode": 493}).status == 400, path
    absent = {"path": "a", "kind": "file", "mode": 420, "size": 5, "chunks": [["0" * 64, 5]]}
    answer = register(absent)
    assert answer.status == 422 and answer.json()["code"] == "chunks_missing"
    assert register({**absent, "size": 6}).status == 400
    assert register(absent, absent).status == 400


def test_a_tenant_cannot_store_more_than_its_quota(shared_server):
    import hashlib
    shared_server.tenant("small", quota={"storage": "100KiB"})
    for number in range(3):
        data = bytes([number]) * 40000
        answer = shared_server.admin.call("PUT", f"/v1/chunks/{hashlib.sha256(data).hexdigest()}?tenant=small", data)
        assert answer.status == (204 if number < 2 else 413), answer


# ---- the agent's side

def sync_body(site, **more):
    return {"protocol": 1, "site": site.id, **more}


def test_bad_reports_of_an_agent_are_refused(server, folder):
    server.region()
    site = RawSite(server, folder)
    for what, body in BODIES.items():
        answer = site.client.call("POST", "/v1/agent/sync", body)
        assert answer.status in (400, 403, 413), (what, answer)
    for body in (sync_body(site), sync_body(site, protocol=2**64 - 1), sync_body(site, protocol=-1),
                 sync_body(site, usage=[{}]), sync_body(site, attempts="x")):
        assert site.client.post("/v1/agent/sync", body).status in (400, 403), body
    for path in ("lq-1-x-1/0", "x/0", "lq-1-" + "0" * 26 + "-1/-1", "lq-1-" + "0" * 26 + "-1/99999", "..%2f..%2fca.key/0"):
        assert site.client.call("POST", f"/v1/agent/logs/{path}?offset=0", b"x").status in (400, 403, 404), path
    assert site.client.get("/healthz").status == 200


# ---- sockets

def test_slow_heads_and_bodies_are_cut_and_others_go_on(shared_server):
    slow = []
    for start in (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: ",
                  b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + shared_server.admin_token.encode() +
                  b"\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{"):
        for _ in range(20):
            sock = shared_server.raw()
            sock.sendall(start)
            slow.append(sock)
    began = time.monotonic()
    answers = []
    for _ in range(50):
        at = time.monotonic()
        assert shared_server.admin.get("/healthz").status == 200
        answers.append(time.monotonic() - at)
    assert sorted(answers)[25] < 0.2
    open_still = set(slow)
    while open_still and time.monotonic() - began < 45:
        for sock in list(open_still):
            sock.settimeout(0.05)
            try:
                if b"" == sock.recv(4096):
                    open_still.discard(sock)
                else:
                    sock.sendall(b"a")
            except TimeoutError:
                pass
            except OSError:
                open_still.discard(sock)
    assert not open_still
    for sock in slow:
        sock.close()


def test_ten_thousand_idle_sockets_do_not_keep_anybody_out(make_server):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 20000:
        pytest.skip("this machine allows too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    sockets = []
    try:
        server = make_server()
        host, port = server.address.rsplit(":", 1)
        before = server.process.rss_mib()
        for _ in range(10000):
            sockets.append(socket.create_connection((host, int(port)), timeout=20))
        for _ in range(20):
            assert server.client(server.admin_token).get("/v1/whoami").status == 200
        assert server.process.rss_mib() - before < 200
    finally:
        for sock in sockets:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_requests_that_could_be_read_two_ways_are_refused(shared_server):
    for request in (b"GET /healthz HTTP/1.1\r\n\r\n", b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
                    b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                    b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
                    b"GET /healthz HTTP/1.1\nHost: a\n\n", b"GET  /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
                    b"GET /healthz HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", b"\x16\x03\x01" * 50):
        sock = shared_server.raw()
        sock.sendall(request)
        data = b""
        try:
            while piece := sock.recv(4096):
                data += piece
        except OSError:
            pass
        assert data.startswith((b"HTTP/1.1 400", b"HTTP/1.1 501")), (request, data[:100])
        sock.close()


# ---- the process

@pytest.mark.quick
def test_a_second_server_on_the_same_folder_says_so_and_leaves_it_alone(server):
    done = subprocess.run([LQ, "server", "--state", server.state, "--listen", "127.0.0.1:0"], capture_output=True,
                          timeout=30, check=False)
    assert done.returncode != 0
    text = done.stderr.decode()
    assert "another" in text and "process" in text, text
    assert server.admin.post("/v1/jobs", JOB).status == 201


def test_the_server_ends_within_its_grace_with_polls_streams_and_followers_open(make_server, folder):
    server = make_server()
    server.region()
    RawSite(server, folder)
    watcher = server.client(server.admin_token)
    watcher.send("GET", "/v1/events")
    job = server.admin.post("/v1/jobs", JOB).json()["jobs"][0]["id"]
    follower = server.client(server.admin_token)
    follower.send("GET", f"/v1/jobs/{job}/logs?follow=true")
    raw = server.raw()
    raw.sendall(b"POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 8
    server.start()
    assert server.admin.get(f"/v1/jobs/{job}").json()["state"] == "pending"


def test_what_was_answered_outlives_any_kill(make_server):
    server = make_server()
    known = set()
    for turn in range(8):
        for _ in range(15 + turn):
            known.add(server.admin.post("/v1/jobs", JOB).json()["jobs"][0]["id"])
        server.restart("kill")
    listed = {job["id"] for job in server.admin.get("/v1/jobs", limit=1000).json()["items"]}
    assert known <= listed
    assert server.admin.get("/v1/stats").json()["jobs_pending"] == len(listed)


def test_a_first_start_that_was_cut_off_anywhere_is_gone_on_with(make_server):
    for delay in (0.005, 0.02, 0.05, 0.1, 0.2, 0.4):
        server = make_server(name=f"cut{delay}", start=False)
        os.makedirs(server.folder)
        process = subprocess.Popen([LQ, "server", "--state", server.state, "--listen", "127.0.0.1:0"],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        server.start()
        assert server.admin.get("/v1/whoami").json()["name"] == "admin"
        server.stop()


@pytest.fixture
def small_disk(folder):
    """A folder that holds 24 MiB."""
    path = os.path.join(folder, "disk")
    os.makedirs(path)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", path], capture_output=True, check=False).returncode:
        pytest.skip("tmpfs cannot be mounted here")
    yield path
    subprocess.run(["umount", "-l", path], check=False)


def test_a_full_disk_refuses_cleanly_loses_nothing_and_recovers_by_itself(small_disk, make_server):
    server = make_server(name="disk/s")
    admin = server.admin
    done = {admin.post("/v1/jobs", JOB).json()["jobs"][0]["id"] for _ in range(20)}
    with open(os.path.join(small_disk, "filler"), "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 65536)
        except OSError:
            pass
        try:
            while True:
                filler.write(b"x" * 512)
        except OSError:
            pass
    refused = 0
    for number in range(2000):
        answer = admin.post("/v1/jobs", {**JOB, "run": "x" * 5000}, **{"Idempotency-Key": f"full{number}"})
        if answer.status == 201:
            done.add(answer.json()["jobs"][0]["id"])
            continue
        assert answer.status == 503, answer
        assert answer.headers["content-type"] == "application/problem+json" and answer.headers["retry-after"]
        refused += 1
        if refused >= 5:
            break
    assert refused >= 5
    assert admin.get("/readyz").status == 503 and admin.get("/healthz").status == 200
    assert admin.get("/v1/whoami").status == 200  # people are still known, and may still look
    listed = {job["id"] for job in admin.get("/v1/jobs", limit=1000).json()["items"]}
    assert done <= listed
    assert admin.call("PUT", "/v1/chunks/" + "0" * 64, b"x" * 10).status == 400
    os.unlink(os.path.join(small_disk, "filler"))
    until = time.monotonic() + 20
    while admin.get("/readyz").status != 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    answer = admin.post("/v1/jobs", JOB)
    assert answer.status == 201
    done.add(answer.json()["jobs"][0]["id"])
    server.restart("kill")
    assert done <= {job["id"] for job in server.admin.get("/v1/jobs", limit=1000).json()["items"]}
