"""The description drives the server: whatever schemathesis makes of it is answered as described."""

import os
import subprocess
import sys

import pytest

from conftest import RawSite

EXAMPLES = int(os.environ.get("LQ_SCHEMATHESIS_EXAMPLES", "12"))
SEED = os.environ.get("LQ_SCHEMATHESIS_SEED", "20261122")
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


def real_ids(server, folder):
    """A configuration that names things that are there, so that requests get past "not found"."""
    admin = server.admin
    victim = server.user("victim", ["member"], server.tenant("ours"))
    job = admin.post("/v1/jobs", {"name": "one", "run": "true"}).json()["jobs"][0]["id"]
    artifact = admin.post("/v1/artifacts", {"kind": "workdir", "manifest": {"format": 1, "entries": []}}).json()["id"]
    ids = {"job": job, "artifact": artifact, "site": "alpha", "tenant": "ours", "user": victim.user,
           "token": victim.token_id}
    path = os.path.join(folder, "schemathesis.toml")
    with open(path, "w", encoding="ascii") as file:
        file.write("[parameters]\n" + "".join(f'"path.{name}" = "{value}"\n' for name, value in ids.items()))
    return path


@pytest.mark.timeout(280)
def test_every_answer_to_made_up_requests_is_as_described(server, folder):
    server.region()
    RawSite(server, folder)
    config = real_ids(server, folder)
    tool = os.path.join(os.path.dirname(sys.executable), "schemathesis")
    done = subprocess.run(
        [tool, "--config-file", config, "run", os.path.join(os.path.dirname(__file__), "../../docs/api/openapi.json"),
         "--url", f"https://{server.address}", "--tls-verify", server.ca,
         "--header", f"Authorization: Bearer {server.admin_token}",
         "--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES), "--seed", SEED,
         "--request-timeout", "20", "--suppress-health-check", "all", "--no-color", "--max-failures", "20",
         # Streams have no end to wait for.
         "--exclude-operation-id", "events", "--exclude-operation-id", "job_logs"],
        capture_output=True, timeout=200, check=False, cwd=folder)
    text = done.stdout.decode(errors="replace") + done.stderr.decode(errors="replace")
    print(text[-3000:])
    assert done.returncode == 0, text[-12000:]
    assert server.admin.get("/readyz").status == 200
