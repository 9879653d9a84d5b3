"""A job's life at one site, from the command that joins it to the bytes that come back."""

import json
import threading
import time

import pytest
from lingqu import living_net, usage_is_whole


@pytest.fixture(scope="module")
def net():
    """One site of three logical nodes, for tests that do not disturb each other."""
    with living_net() as net:
        net.site("alpha", nodes=[f"n{i}:cpus=2,mem=1GiB" for i in range(3)])
        yield net


@pytest.mark.quick
def test_a_job_is_placed_runs_in_the_sandbox_and_its_log_result_and_usage_come_back(net):
    job = net.submit("""
        echo "i am $(id -u) in $PWD on $LQ_SITE attempt $LQ_ATTEMPT"
        [ -e /root ] && echo sees root; touch /usr/x 2>/dev/null && echo writes usr
        echo result >answer.txt
        sleep 0.3
    """, name="first", outputs=["answer.txt"])
    view = net.wait_job(job)
    assert (view["state"], view["exit_code"], view["outcome"]) == ("succeeded", 0, "succeeded"), net.about(job)
    assert len(view["attempts"]) == 1 and view["attempts"][0]["site_name"] == "alpha"
    log = net.wait_log(job, "on alpha attempt 1")
    assert "i am 0 " not in log and "in /job on" in log
    assert "sees root" not in log and "writes usr" not in log
    artifact = net.wait_artifact(job, "output")
    assert net.file(artifact["id"], "answer.txt") == b"result\n"
    records = net.settle()
    mine = [record for record in records if record["job"] == job]
    assert mine[-1]["is_last"] and mine[-1]["total"]["wall_ms"] >= 300
    assert mine[-1]["total"]["wall_ms"] < 20000
    assert mine[-1]["total"]["cpu_held_ms"] == pytest.approx(mine[-1]["total"]["wall_ms"] / 2, rel=0.05)
    usage_is_whole(records)
    net.wait(lambda: not net.agents["alpha"].programs() or None, 10, "an empty site")


@pytest.mark.quick
def test_a_failing_program_fails_with_its_exit_code_and_keeps_its_log(net):
    job = net.submit("echo about to fail; exit 7", name="fails")
    view = net.wait_job(job)
    assert (view["state"], view["exit_code"], view["outcome"]) == ("failed", 7, "program_error")
    assert view["failures"] == {"program_error": 1} and view["attempts"][0]["failure"] == "program_error"
    assert view["failure"]["blame"] == "program" and view["failure"]["budget"] == 0
    assert "it has failed: 1 such failures, and 0 are tried again" in view["failure"]["next"]
    assert "about to fail" in net.wait_log(job, "about to fail")


def test_a_program_that_dies_of_a_signal_shows_128_and_the_signal(net):
    job = net.submit("kill -SEGV $$; sleep 5", name="signal")
    view = net.wait_job(job)
    assert (view["state"], view["exit_code"]) == ("failed", 128 + 11)


def test_a_job_that_may_be_retried_is_tried_again_and_then_succeeds(net):
    job = net.submit("[ $LQ_ATTEMPT = 3 ]", name="third-time", retries=3)
    view = net.wait_job(job)
    assert view["state"] == "succeeded" and view["attempt"] == 3 and view["program_failures"] == 2
    assert [attempt["outcome"] for attempt in view["attempts"]] == ["program_error", "program_error", "succeeded"]


def test_retry_by_hand_makes_a_failed_job_run_again(net):
    job = net.submit("[ $LQ_ATTEMPT = 2 ] || [ $LQ_JOB_ID != $FIRST ]", name="by-hand", envs={"FIRST": "none"})
    assert net.wait_job(job)["state"] == "succeeded"
    job = net.submit("exit 3", name="by-hand")
    assert net.wait_job(job)["state"] == "failed"
    answer = net.admin.post(f"/v1/jobs/{job}:retry")
    assert answer.status in (200, 201, 202), answer
    again = answer.json().get("id", job) if answer.body else job
    view = net.wait_job(again)
    assert view["state"] == "failed" and view["exit_code"] == 3
    assert again != job or len(view["attempts"]) == 2


def test_memory_over_the_limit_ends_the_job_and_says_so(net):
    job = net.submit("exec python3 -c 'b = bytearray(400 << 20); print(len(b))'", name="oom",
                     resources={"cpus": 1, "memory": "64MiB"})
    view = net.wait_job(job)
    assert view["state"] == "failed" and view["outcome"] == "out_of_memory", net.about(job)


def test_the_time_limit_ends_the_job_and_all_of_its_processes(net):
    job = net.submit("sleep 61 & setsid sleep 62 & sleep 63", name="too-long", time_limit="1s",
                     checkpoint={"grace": "500ms"})
    view = net.wait_job(job)
    assert view["state"] == "failed" and view["outcome"] == "time_limit", net.about(job)
    assert view["attempts"][0]["ran_ms"] < 8000


@pytest.mark.quick
def test_a_running_job_that_is_cancelled_ends_and_leaves_no_process(net):
    job = net.submit("echo up; sleep 300", name="cancel-running")
    net.wait_log(job, "up")
    assert net.admin.post(f"/v1/jobs/{job}:cancel").status in (200, 202)
    view = net.wait_job(job)
    assert view["state"] == "cancelled" and view["attempts"][-1]["outcome"] == "revoked"
    net.wait(lambda: not net.agents["alpha"].programs() or None, 10, "no process left")


def test_a_pending_job_that_is_cancelled_never_runs(net):
    blocker = net.submit("sleep 300", name="blocker", num_nodes=3, resources={"cpus": 2, "memory": "64MiB"})
    net.wait_running(blocker)
    job = net.submit("true", name="waits")
    explanation = net.admin.get(f"/v1/jobs/{job}/explain")
    assert explanation.status == 200 and b"alpha" in explanation.body
    assert net.job(job)["state"] == "pending"
    assert net.admin.post(f"/v1/jobs/{job}:cancel").status in (200, 202)
    view = net.wait_job(job)
    assert view["state"] == "cancelled" and view["attempts"] == []
    assert net.admin.post(f"/v1/jobs/{job}:cancel").status == 409
    assert net.admin.post(f"/v1/jobs/{blocker}:cancel").status in (200, 202)
    assert net.wait_job(blocker)["state"] == "cancelled"


def test_a_job_that_no_site_could_ever_run_is_refused_with_the_reason(net):
    answer = net.admin.post("/v1/jobs", {"name": "too-big", "run": "true", "resources": {"cpus": 1, "memory": "512GiB"}})
    assert answer.status == 422 and "alpha" in answer.json()["detail"], answer


def test_the_log_streams_while_the_job_runs_and_ends_with_it(net):
    job = net.submit("for i in 1 2 3 4 5 6; do echo line $i; sleep 0.3; done", name="streams")
    arrivals = []
    client = net.server.client(net.server.admin_token)
    response = client.send("GET", f"/v1/jobs/{job}/logs?follow=true")
    assert response.status == 200
    while True:
        piece = response.read1(65536)
        if not piece:
            break
        arrivals.append((time.monotonic(), piece))
    client.close()
    assert b"".join(piece for _, piece in arrivals) == b"".join(b"line %d\n" % i for i in range(1, 7))
    assert len(arrivals) >= 3 and arrivals[-1][0] - arrivals[0][0] > 0.8, "it came in one piece at the end"
    assert net.job(job)["state"] == "succeeded"


def test_the_log_can_be_resumed_at_any_byte(net):
    job = net.submit("seq 1 2000", name="resume-log")
    net.wait_job(job)
    net.wait_log(job, "\n2000\n")
    whole = net.log(job)
    assert whole == "".join(f"{i}\n" for i in range(1, 2001))
    assert net.log(job, offset=1000) == whole[1000:]


def test_usage_is_metered_while_the_job_runs(net):
    job = net.submit("i=0; while [ $i -lt 40 ]; do i=$((i+1)); sleep 0.1; done", name="metered")
    net.wait(lambda: [record for record in net.usage(job=job) if not record.get("is_last")], 20, "usage on the way")
    assert net.job(job)["state"] == "active"
    assert net.wait_job(job)["state"] == "succeeded"
    net.settle()
    records = net.usage(job=job)
    assert len(records) >= 3 and records[-1]["is_last"]
    assert net.job(job)["usage"]["wall_ms"] == records[-1]["total"]["wall_ms"] >= 4000


def test_every_element_of_an_array_runs_once_with_its_index(net):
    answer = net.admin.post("/v1/jobs", {"name": "array", "run": "echo index $LQ_ARRAY_INDEX", "array": {"count": 12, "parallel": 4},
                                         "resources": {"cpus": 0.25, "memory": "32MiB"}})
    assert answer.status == 201
    views = [net.wait_job(job) for job in answer.json()["jobs"]]
    assert [view["state"] for view in views] == ["succeeded"] * 12
    assert sorted(view["array_index"] for view in views) == list(range(12))
    for view in views:
        assert net.wait_log(view["id"], "index") == f"index {view['array_index']}\n"


def test_a_gang_gets_all_nodes_at_once_and_its_ranks_know_each_other(net):
    job = net.submit('echo "rank $LQ_NODE_RANK of $LQ_NUM_NODES on $LQ_NODE: $LQ_NODE_ADDRS"; sleep 0.3', name="gang",
                     num_nodes=3, resources={"cpus": 1, "memory": "64MiB"})
    view = net.wait_job(job)
    assert view["state"] == "succeeded" and view["attempts"][0]["nodes"] == 3, net.about(job)
    logs = [net.wait_log(job, "rank", rank=rank) for rank in range(3)]
    for rank, log in enumerate(logs):
        assert f"rank {rank} of 3 " in log
    assert len({log.split(" on ")[1].split(":")[0] for log in logs}) == 3, logs
    assert len({log.split(": ", 1)[1] for log in logs}) == 1 and logs[0].count(",") == 2
    net.settle()
    total = net.usage(job=job)[-1]["total"]
    assert total["cpu_held_ms"] == pytest.approx(3 * total["wall_ms"], rel=0.05)


def test_one_failing_rank_ends_the_whole_gang(net):
    job = net.submit("[ $LQ_NODE_RANK = 1 ] && exit 5; sleep 300", name="gang-fails", num_nodes=3)
    view = net.wait_job(job)
    assert view["state"] == "failed" and view["exit_code"] == 5, net.about(job)
    net.wait(lambda: not net.agents["alpha"].programs() or None, 10, "no rank left")


def test_the_same_key_submits_once_however_often_and_at_once(net):
    body = json.dumps({"name": "once", "run": "true", "resources": {"cpus": 0.1, "memory": "16MiB"}})
    answers = []

    def send():
        client = net.server.client(net.server.admin_token)
        answers.append(client.call("POST", "/v1/jobs", body, {"Idempotency-Key": "key-1", "Content-Type": "application/json"}))
        client.close()

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = [answer for answer in answers if answer.status == 201]
    assert good and all(answer.status in (201, 409, 503) for answer in answers), answers
    assert len({answer.json()["jobs"][0]["id"] for answer in good}) == 1
    assert len(net.admin.get("/v1/jobs", name="once").json()["items"]) == 1
    other = net.admin.call("POST", "/v1/jobs", body.replace("once", "twice"),
                           {"Idempotency-Key": "key-1", "Content-Type": "application/json"})
    assert other.status == 409
    assert net.admin.get("/v1/jobs", name="twice").json()["items"] == []
    net.wait_job(good[0].json()["jobs"][0]["id"])


def test_a_work_folder_arrives_with_its_modes_and_links(net):
    import hashlib
    script = b"#!/bin/sh\necho from the folder; cat data/link\n"
    text = b"hello\n"
    for content in (script, text):
        digest = hashlib.sha256(content).hexdigest()
        assert net.admin.call("PUT", f"/v1/chunks/{digest}", content).status == 204

    def entry(path, kind, **more):
        return {"path": path, "kind": kind, **more}

    def chunks(content):
        return [[hashlib.sha256(content).hexdigest(), len(content)]]

    answer = net.admin.post("/v1/artifacts", {"kind": "workdir", "manifest": {"format": 1, "entries": [
        entry("data", "folder", mode=0o755),
        entry("data/link", "link", target="text"),
        entry("data/text", "file", mode=0o644, size=len(text), chunks=chunks(text)),
        entry("go", "file", mode=0o755, size=len(script), chunks=chunks(script))]}})
    assert answer.status == 201, answer
    job = net.submit("./go", name="folder", workdir=answer.json()["id"])
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    assert "from the folder\nhello\n" in net.wait_log(job, "hello")


def test_the_attempts_at_a_site_are_listed_in_pages_without_what_the_jobs_say(net):
    jobs = [net.submit("true", name="a-private-name") for _ in range(3)]
    for job in jobs:
        assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    site, path = sorted(net.agents)[0], "/v1/sites/{}/attempts?state=ended&limit=2{}"
    seen, cursor = [], ""
    while True:
        page = net.admin.get(path.format(site, cursor)).json()
        assert "a-private-name" not in str(page)
        seen += [(item["job"], item["attempt"]) for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert len(seen) == len(set(seen)) and {(job, 1) for job in jobs} <= set(seen)


def test_a_job_that_only_an_image_can_run_is_refused_at_submit_and_one_with_a_choice_runs(net):
    job = {"name": "boxed", "run": "echo ran bare", "resources": {"cpus": 1}}
    answer = net.admin.post("/v1/jobs", {**job, "image": "registry.example/a:b"})
    assert answer.status == 422, answer
    assert "no site runs the container image" in answer.json()["detail"], answer.json()
    chosen = net.submit("echo ran bare", name="choice", variants=[
        {"runtime": "cuda", "accelerators": 1, "image": "registry.example/a:b"}, {"runtime": "cpu"}])
    assert net.wait_job(chosen)["state"] == "succeeded", net.about(chosen)
    assert net.job(chosen)["attempts"][-1]["variant"] == 1


def test_what_an_operator_puts_into_quarantine_takes_nothing_until_it_is_released(net):
    for node in ("n0", "n1", "n2"):
        answer = net.admin.post("/v1/sites/alpha:quarantine", {"node": node, "reason": "dust"})
        assert answer.status == 200, answer.body
    assert [row["node"] for row in net.admin.get("/v1/sites/alpha").json()["quarantine"]] == ["n0", "n1", "n2"]
    assert net.admin.post("/v1/sites/alpha:quarantine", {"node": "n9"}).status == 422
    job = net.submit("echo ran", name="waits")
    said = net.wait(lambda: net.admin.get(f"/v1/jobs/{job}/explain").json(), 10, "an explanation")
    assert [line["filter"] for line in said["sites"]] == ["quarantine"] and said["blocked_by"] == "quarantine"
    for node in ("n0", "n1", "n2"):
        assert net.admin.post("/v1/sites/alpha:release", {"node": node}).status == 200
    assert net.wait_job(job)["state"] == "succeeded"
    actions = [row["action"] for row in net.admin.get("/v1/audit?limit=1000").json()["items"]]
    assert actions.count("site.quarantine") >= 3 and actions.count("site.release") >= 3
