"""Output of jobs as people read it."""

import json



def events_of(response):
    text, pieces = response.read().decode(), []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and not line.startswith(":"))
        if fields.get("event") == "log":
            pieces.append(json.loads(fields["data"]))
    return pieces


def test_output_streams_while_it_runs_and_programs_may_print_anything(network):
    network.site("alpha")
    # A character in two writes, bytes that are no UTF-8, control characters, a very long line.
    job = network.submit({"name": "odd", "resources": {"cpus": 1},
                          "run": r"printf 'begin \303'; sleep 1; printf '\251 \377\376 \000\033[31m end\n'; "
                                 r"head -c 200000 /dev/zero | tr '\0' x; printf '\nlast\n'"})
    follower = network.server.client(network.server.admin_token)
    response = follower.send("GET", f"/v1/jobs/{job}/logs?follow=true", headers={"Accept": "text/event-stream"})
    assert response.getheader("Content-Type") == "text/event-stream"
    pieces = events_of(response)
    text = "".join(piece["text"] for piece in pieces)
    assert text.startswith("begin ") and "\ufffd\ufffd \0\x1b[31m end\n" in text and text.endswith("\nlast\n")
    assert "x" * 200000 in text
    offsets = [piece["offset"] for piece in pieces]
    assert offsets == sorted(set(offsets)) and offsets[0] == 0
    assert network.wait_job(job)["state"] == "succeeded"
    network.wait(lambda: network.admin.get(f"/v1/jobs/{job}/logs").body.endswith(b"last\n"), what="the log's end")
    plain = network.admin.get(f"/v1/jobs/{job}/logs")
    assert plain.headers["content-type"] == "text/plain; charset=utf-8"
    assert plain.body.startswith(b"begin \xc3\xa9 \xff\xfe \0") and plain.body.endswith(b"\nlast\n")
    rest = network.admin.get(f"/v1/jobs/{job}/logs", offset=8)
    assert rest.body == plain.body[8:] and rest.headers["lq-log-offset"] == "8"
    network.server.restart("kill")
    assert network.admin.get(f"/v1/jobs/{job}/logs").body == plain.body


def test_logs_are_their_tenants_alone(network):
    network.site("alpha")
    network.server.tenant("ours")
    other = network.server.user("other", ["member"], network.server.tenant("theirs"))
    job = network.admin.post("/v1/jobs?tenant=ours", {"name": "s", "run": "echo secret"}).json()["jobs"][0]["id"]
    network.wait_job(job)
    network.wait(lambda: b"secret" in network.admin.get(f"/v1/jobs/{job}/logs").body, what="the log")
    answer = other.get(f"/v1/jobs/{job}/logs")
    assert answer.status == 404 and b"secret" not in answer.body
