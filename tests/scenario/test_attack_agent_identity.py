"""Who is who: forged and used join tokens, sites that pose as others, servers from the past, agents that were copied."""

import http.server
import json
import os
import shutil
import ssl
import subprocess
import threading
import time

import pytest
from conftest import LQ, RawSite, signing_request
from lingqu import Evidence, Net, processes


@pytest.fixture
def net(folder):
    net = Net(folder)
    yield net
    net.stop()


@pytest.fixture
def evidence():
    evidence = Evidence()
    yield evidence
    evidence.close()


def join(net, name, token, site="alpha", operator="op1"):
    """`lq agent` that is expected to be refused: (exit code, what it said)."""
    done = subprocess.run(
        [LQ, "agent", "--state", os.path.join(net.folder, name), "--server", net.server.address, "--site", site,
         "--region", "west", "--operator", operator, "--cpu-ask", "0.1", "--example-ask", "--ask-source", "example",
         "--ignore-foreign-load", "--node", "n0:cpus=1,mem=1GiB", "--join", token],
        capture_output=True, timeout=30, check=False)
    return done.returncode, (done.stdout + done.stderr).decode(errors="replace")


@pytest.mark.quick
def test_a_join_token_works_once_for_its_site_and_operator_and_for_its_server(net):
    answer = net.admin.post("/v1/join-tokens", {"site": "alpha", "operator": "op1"})
    token = answer.json()["token"]
    secret, pin = token.split(".")
    other = "0" if secret[-1] != "0" else "1"
    for name, forged, words in (("forged", f"{secret[:-1]}{other}.{pin}", {}),
                                ("short", secret, {}), ("empty", "lqj_." + pin, {}),
                                ("other-site", token, {"site": "beta"}), ("other-operator", token, {"operator": "op2"}),
                                ("other-server", f"{secret}.{'0' * 64}", {})):
        code, said = join(net, name, forged, **words)
        assert code not in (0, None) and said.strip(), (name, code, said)
        assert secret not in said, f"{name}: the secret is told"
        assert not os.path.exists(os.path.join(net.folder, name, "agent.pem"))
    assert net.admin.get("/v1/sites").json()["items"] == []
    agent = net.site("alpha")  # with a token of its own
    net.agents["alpha"].stop()
    # the first token is still good for its own site, once
    shutil.rmtree(agent.state)
    agent.token = token
    agent.start()
    code, said = join(net, "second", token)
    assert code not in (0, None) and "token" in said, (code, said)
    job = net.submit("true", name="still-works")
    assert net.wait_job(job)["state"] == "succeeded"


def sync_body(site, **more):
    return {"protocol": 1, "agent_version": "0", "site": site, "journal": "jrn_" + "0" * 25 + "1", "epoch_seen": 0,
            "request_seq": 1, "usage_acked": 0, "usage_oldest": 1, "inventory": True, "attempts": [], **more}


def test_a_site_cannot_speak_for_another_or_for_people(net, evidence):
    net.site("beta", flags=evidence.flags())
    job = net.submit(evidence.script("b", "sleep 3"), name="betas")
    attempt = net.wait_running(job)
    alpha = RawSite(net.server, net.folder, "alpha")
    beta = net.agents["beta"].id
    name = f"lq-{attempt['epoch']}-{job.removeprefix('job_')}-{attempt['attempt']}"
    answer = alpha.client.post("/v1/agent/sync", sync_body(beta))
    assert answer.status == 403 and net.job(job)["state"] == "active", answer
    # in its own name it reports another's attempt as ended: that ends nothing
    ended = {"token": name, "phase": "ended", "outcome": "succeeded", "ran_ms": 1, "age_ms": 1}
    for number in (1, 2):
        answer = alpha.client.post("/v1/agent/sync", sync_body(alpha.id, attempts=[ended], request_seq=number))
        assert answer.status == 200, answer
    assert net.job(job)["state"] == "active"
    assert alpha.client.call("POST", f"/v1/agent/logs/{name}/0?offset=0", b"forged\n").status == 403
    assert alpha.client.call("POST", f"/v1/agent/logs/{name}/0?offset=0", b"forged\n", {"Lq-Secret": "x" * 43}).status == 403
    answer = alpha.client.post("/v1/agent/artifacts", {"token": name, "secret": "x" * 43, "kind": "checkpoint", "step": 9,
                                                       "runtime": "cpu", "world_size": 1, "manifest": {"format": 1, "entries": []}})
    assert answer.status in (400, 403, 422), answer
    for path in ("/v1/jobs", "/v1/audit", "/v1/users", "/v1/tokens", f"/v1/jobs/{job}"):
        assert alpha.client.get(path).status in (401, 403), path
    assert alpha.client.post("/v1/jobs", {"name": "x", "run": "true"}).status in (401, 403)
    # a renewed certificate is still its own, whatever name the request for it carries
    assert alpha.renew().status == 200
    text = subprocess.run(["openssl", "x509", "-in", alpha.client.certificate[0], "-noout", "-ext", "subjectAltName"],
                          check=True, capture_output=True).stdout.decode()
    assert alpha.id in text and beta not in text
    # a person's token is no agent
    assert net.admin.post("/v1/agent/sync", sync_body(beta)).status in (401, 403)
    view = net.wait_job(job)
    assert view["state"] == "succeeded" and len(view["attempts"]) == 1
    assert "forged" not in net.log(job) and net.artifacts(job, "checkpoint") == []


class Past:
    """A server with the true keys, on the true port, that answers what the test likes."""

    def __init__(self, server, reply):
        past = self
        past.requests, past.is_closed = [], False

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self):
                self.close_connection = self.close_connection or past.is_closed
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                value = {}
                if self.path == "/v1/agent/sync":
                    request = json.loads(body)
                    past.requests.append(request)
                    value = reply(request)
                    time.sleep(0.05)
                if past.is_closed:
                    return  # without an answer: the connection ends
                text = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = answer

        class Listener(http.server.ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, *_):
                pass

        host, port = server.address.rsplit(":", 1)
        self.http = Listener((host, int(port)), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate(server))
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    @staticmethod
    def certificate(server):
        """One that the network's own authority has signed."""
        key, request = signing_request(server.folder, "past")
        names, path = os.path.join(server.folder, "past.ext"), os.path.join(server.folder, "past.pem")
        with open(names, "w", encoding="ascii") as file:
            file.write("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth\n")
        with open(os.path.join(server.folder, "past.csr"), "w", encoding="ascii") as file:
            file.write(request)
        subprocess.run(["openssl", "x509", "-req", "-in", file.name, "-CA", server.ca, "-CAkey",
                        os.path.join(server.state, "ca.key"), "-CAcreateserial", "-days", "1", "-extfile", names,
                        "-out", path], check=True, capture_output=True)
        return path, key

    def close(self):
        self.is_closed = True
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


def lines(agent):
    table = processes()
    return [table[pid][1] for pid in agent.programs() if pid in table]


def test_commands_of_an_older_epoch_are_not_followed(net, evidence):
    agent = net.site(flags=evidence.flags())
    job = net.submit(evidence.script("good", "sleep 300"), name="good")
    attempt = net.wait_running(job)
    net.admin.close()
    net.server.stop()
    net.server.flags.append("--restored")
    net.server.start()
    net.server.flags.remove("--restored")
    net.wait(lambda: net.admin.get("/v1/stats").json()["is_reconciling"] is False, 20, "the site's inventory")
    net.wait_running(job)
    assert net.admin.get("/v1/stats").json()["db_epoch"] == 2
    net.server.kill()

    # "evil" is job_0…1; as a command it is right in every way but its epoch
    evil = "job_" + "0" * (len(job) - 5) + "1"
    mode = {"epoch": 1}

    def token(job_id, number, epoch):
        return f"lq-{epoch}-{job_id.removeprefix('job_')}-{number}"

    def reply(request):
        epoch = mode["epoch"]
        order = {"token": token(evil, 1, epoch), "job_name": "evil", "tenant": "ten_" + evil.removeprefix("job_"),
                 "spec": json.loads(spec), "variant": 0, "array_index": 0, "places": [{"node": 0}], "contact": "strict",
                 "lease_ms": 0, "secret": "s" * 43}
        commands = [{"kind": "start", "token": token(evil, 1, epoch), "journal": request["journal"], "order": order}]
        if epoch == 1:
            commands.append({"kind": "revoke", "token": token(job, attempt["attempt"], attempt["epoch"]),
                             "journal": request["journal"], "reason": "cancelled"})
        return {"protocol": 1, "db_epoch": epoch, "request_seq": request["request_seq"],
                "usage_acked": request["usage_acked"], "commands": commands,
                "settings": {"poll_hold_ms": 100, "usage_every_ms": 1000, "retain_ms": 60000, "gate_limit_ms": 5000}}

    spec = json.dumps({"name": "evil", "run": evidence.script("evil", "sleep 301"), "resources": {"cpus": 0.5, "memory": "64MiB"}})
    past = Past(net.server, reply)
    try:
        net.wait(lambda: len(past.requests) >= 4, 40, "requests that were answered from the past")
        assert not evidence.said("start", "evil")
        assert not evidence.said("stop", "good") and any("sleep 300" in line for line in lines(agent))
        # the same command in the right epoch is followed: so it was whole
        mode["epoch"] = 2
        net.wait(lambda: evidence.said("start", "evil"), 30, lambda: f"the command that is right: {past.requests[-1]}")
    finally:
        past.close()
    # back at the true server: nobody there knows that job, so the site ends it
    net.server.start()
    net.wait(lambda: len(agent.programs()) and not any("sleep 301" in line for line in lines(agent)) or None, 30,
             "the end of what nobody ordered")
    net.wait_running(job)
    assert net.admin.post(f"/v1/jobs/{job}:cancel").status in (200, 202)
    assert net.wait_job(job)["state"] == "cancelled"
    net.wait(lambda: not agent.programs() or None, 30, "an empty site")
    evidence.no_double()


def test_two_agents_cannot_share_one_state_folder(net, evidence):
    agent = net.site(flags=evidence.flags())
    job = net.submit(evidence.script("one", "sleep 1.5"), name="one")
    net.wait_running(job)
    done = subprocess.run([LQ, "agent", "--state", agent.state], capture_output=True, timeout=30, check=False)
    assert done.returncode not in (0, None) and done.stderr.strip(), done
    assert agent.is_alive()
    assert net.wait_job(job)["state"] == "succeeded"
    assert len(evidence.said("start")) == 1
    evidence.no_double()


def test_a_copied_state_folder_is_refused_until_the_operator_says_that_it_was_moved(net, evidence):
    agent = net.site(flags=evidence.flags())
    job = net.submit(evidence.script("one", "sleep 300"), name="one")
    net.wait_running(job)
    copy = agent.state + "-copy"
    shutil.copytree(agent.state, copy, ignore=lambda _, names: [name for name in names if name.endswith(".sock")])
    # beside the original, which runs on
    done = subprocess.run([LQ, "agent", "--state", copy], capture_output=True, timeout=30, check=False)
    assert done.returncode not in (0, None) and b"--moved" in done.stderr, done
    net.wait(lambda: evidence.said("start"), 30, "the program's first word")
    assert agent.is_alive() and len(evidence.said("start")) == 1
    # the original goes, with all that it ran: now the copy may have the site
    agent.kill_whole()
    first, agent.state, agent.argv = agent.state, copy, [*agent.argv, "--moved"]
    agent.start()
    net.wait_running(job, attempt=2)
    # the flag is for once; and the original, when it comes back after all, is told and ends
    agent.argv.remove("--moved")
    agent.restart()
    done = subprocess.run([LQ, "agent", "--state", first], capture_output=True, timeout=30, check=False)
    assert done.returncode not in (0, None) and b"goes on elsewhere" in done.stderr, done
    net.wait_running(job, attempt=2)
    net.wait(lambda: len(evidence.said("start")) >= 2, 30, "the second program's first word")
    assert len(evidence.said("start")) == 2
    assert net.admin.post(f"/v1/jobs/{job}:cancel").status in (200, 202)
    assert net.wait_job(job)["state"] == "cancelled"
    net.wait(lambda: not agent.programs() or None, 30, "an empty site")
    evidence.no_double()


def test_a_sync_of_an_unknown_version_with_a_gap_or_too_long_is_refused_and_changes_nothing(net):
    alpha = RawSite(net.server, net.folder, "alpha")
    for version in (0, 2, 4294967295):
        answer = alpha.client.post("/v1/agent/sync", sync_body(alpha.id, protocol=version))
        assert answer.status == 501 and answer.json()["field"] == "protocol" and "1 to 1" in answer.json()["detail"], answer
    quantities = {}
    record = {"seq": 2, "token": "lq-1-" + "0" * 25 + "1-1", "runtime": "cpu", "delta": quantities, "total": quantities}
    answer = alpha.client.post("/v1/agent/sync", sync_body(alpha.id, usage=[record]))
    assert answer.status in (400, 422), answer
    # what is too long is refused by its stated length, before any of it is sent
    alpha.client.connect()
    alpha.client.connection.putrequest("POST", "/v1/agent/sync")
    alpha.client.connection.putheader("Content-Length", str(9 << 20))
    alpha.client.connection.endheaders()
    assert alpha.client.connection.getresponse().status == 413
    alpha.client.close()
    assert net.usage() == [], "a refused request left a record"
    answer = alpha.client.post("/v1/agent/sync", sync_body(alpha.id))
    assert answer.status == 200 and answer.json()["protocol"] == 1, answer


def test_a_site_that_was_replaced_by_a_newer_journal_is_refused_for_good(net):
    alpha = RawSite(net.server, net.folder, "alpha")
    old, new = ("jrn_" + "0" * 25 + digit for digit in "12")
    assert alpha.client.post("/v1/agent/sync", sync_body(alpha.id, journal=old)).status == 200
    answer = alpha.client.post("/v1/agent/sync", sync_body(alpha.id, journal=new, request_seq=2))
    assert answer.status == 200 and answer.json()["challenge"] and not answer.json()["commands"], answer
    # unproven: the old one still stands
    answer = alpha.client.post("/v1/agent/sync", sync_body(alpha.id, journal=old, request_seq=3))
    assert answer.status == 200, answer
    answer = alpha.client.post("/v1/agent/sync", sync_body(alpha.id, journal=new, request_seq=4))
    proof = answer.json()["challenge"]
    answer = alpha.client.post("/v1/agent/sync", sync_body(alpha.id, journal=new, request_seq=5, challenge=proof))
    assert answer.status == 200, answer
    for number in (6, 7):
        answer = alpha.client.post("/v1/agent/sync", sync_body(alpha.id, journal=old, request_seq=number, challenge=proof))
        assert answer.status == 409 and answer.json()["code"] == "journal_superseded", answer
