"""How a site comes in, stays in, and is kept out."""

import os
import ssl
import subprocess
import threading

import pytest

from conftest import RawSite, signing_request


def secret(token):
    return token.split(".")[0]


@pytest.fixture
def known(server):
    server.region()
    return server


def test_of_many_that_come_with_one_join_token_exactly_one_gets_in(known, folder):
    for turn in range(5):
        site = RawSite(known, folder, f"race{turn}")  # for its body; its own token is used
        token = known.admin.post("/v1/join-tokens", {"site": f"race{turn}", "operator": "op1"}).json()["token"]
        _, request = signing_request(folder, "r")
        answers, start = [], threading.Barrier(12)

        def go():
            client = known.client()
            client.get("/healthz")
            start.wait()
            answers.append(client.post("/v1/agent/join", {"token": secret(token), "csr": request, "site": site.body}))

        threads = [threading.Thread(target=go) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answer.status for answer in answers) == [201] + [403] * 11, answers


@pytest.mark.quick
def test_a_join_token_is_good_once_for_its_site_and_operator_and_time(known, folder):
    site = RawSite(known, folder)
    again = site.join()
    assert again.status == 403 and "used already" in again.json()["detail"]

    def wish(**more):
        return known.admin.post("/v1/join-tokens", {"site": "alpha", "operator": "op1", **more}).json()["token"]

    site.body = {**site.body, "name": "other"}
    assert site.join(wish()).status == 403
    site.body = {**site.body, "name": "alpha", "operator": "op2"}
    assert site.join(wish()).status == 403
    site.body = {**site.body, "operator": "op1"}
    token = wish(expires_in="1ms")
    late = site.join(token)
    assert late.status == 403 and "expired" in late.json()["detail"]
    assert site.join("lqj_" + "0" * 72 + ".x").status == 403
    assert site.join("lqj_").status == 403
    known.restart("kill")
    assert site.join(site.join_token).status == 403  # used stays used
    assert known.admin.post("/v1/join-tokens", {"site": "alpha", "operator": "op2"}).status == 409


def test_a_site_that_is_refused_keeps_its_token(known, folder):
    site = RawSite(known, folder, "first")
    token = known.admin.post("/v1/join-tokens", {"site": "second", "operator": "op1"}).json()["token"]
    site.body = {**site.body, "name": "second", "region": "nowhere"}
    refused = site.join(token)
    assert refused.status == 422 and "region" in refused.json()["detail"]
    site.body = {**site.body, "region": "west"}
    assert site.join(token).status == 201
    assert site.join(token).status == 403


def test_a_site_renews_its_certificate_and_joining_anew_ends_the_old_ones(known, folder):
    site = RawSite(known, folder)
    first = site.client
    assert site.renew().status == 200
    assert site.renew().status == 200
    assert first.post("/v1/agent/sync", {}).status == 400  # still known: refused for its content only
    token = known.admin.post("/v1/join-tokens", {"site": "alpha", "operator": "op1"}).json()["token"]
    copy = site.client
    old_id = site.id
    assert site.join(token).status == 201
    assert known.admin.get("/v1/sites/alpha").json()["id"] == old_id
    assert copy.post("/v1/agent/sync", {}).status == 401
    assert first.post("/v1/agent/renew", {"csr": signing_request(folder, "x")[1]}).status == 401
    assert site.client.post("/v1/agent/sync", {}).status == 400
    known.restart("kill")
    assert copy.post("/v1/agent/sync", {}).status == 401
    assert site.client.post("/v1/agent/sync", {}).status == 400


def test_a_site_that_was_removed_is_cut_off_on_its_open_connection(known, folder):
    site = RawSite(known, folder)
    assert site.client.post("/v1/agent/sync", {}).status == 400
    assert known.admin.delete("/v1/sites/alpha").status == 200
    assert site.client.post("/v1/agent/sync", {}).status == 401
    assert site.renew().status == 401


def test_an_agent_cannot_speak_for_another_site(known, folder):
    alpha, beta = RawSite(known, folder, "alpha"), RawSite(known, folder, "beta")
    body = {"protocol": 1, "site": beta.id, "journal": "jrn_" + "0" * 25 + "1", "epoch_seen": 1,
            "boot": "b", "request": 1, "held_ms": 0}
    answer = alpha.client.post("/v1/agent/sync", body)
    assert answer.status in (400, 403), answer
    for field in ("site",):
        assert known.admin.get("/v1/sites/beta").json()["contact"] == "never", field


def test_certificates_of_another_authority_are_worth_nothing(known, folder):
    key, cert = os.path.join(folder, "evil.key"), os.path.join(folder, "evil.pem")
    site = RawSite(known, folder)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", key, "-out", cert, "-days", "2", "-subj", f"/CN={site.id}",
                    "-addext", f"subjectAltName=URI:lingqu:site:{site.id}"], check=True, capture_output=True)
    evil = known.client(certificate=(cert, key))
    try:
        assert evil.post("/v1/agent/sync", {}).status == 401
    except (ssl.SSLError, ConnectionError):
        pass  # refused in the handshake
    assert known.client().post("/v1/agent/sync", {}).status == 401


def test_only_sound_signing_requests_are_signed(known, folder):
    site = RawSite(known, folder)
    rsa = os.path.join(folder, "rsa.csr")
    subprocess.run(["openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-keyout", os.devnull, "-out", rsa,
                    "-subj", "/CN=x"], check=True, capture_output=True)
    with open(rsa, encoding="ascii") as file:
        assert site.client.post("/v1/agent/renew", {"csr": file.read()}).status == 400
    good = signing_request(folder, "good")[1]
    for bad in ("", "x", good[:-60], good.replace("A", "B"), "-----BEGIN CERTIFICATE REQUEST-----\n\n", "x" * 200000):
        assert site.client.post("/v1/agent/renew", {"csr": bad}).status == 400
