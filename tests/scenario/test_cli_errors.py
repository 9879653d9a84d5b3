"""What people see when something is wrong, and the exit codes that programs go by."""

import json
import os
import pty
import subprocess
import time

import pytest

from conftest import LQ, site_body

JOB = "name: hello\nresources: {cpus: 1, memory: 64MiB}\nrun: echo hi\n"


class Person:
    """Runs lq as somebody logged in to a server."""

    def __init__(self, home):
        self.home = str(home)
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("LQ_")}, "LQ_HOME": self.home}

    def lq(self, *arguments, code=0, env=None, stdin=""):
        answer = subprocess.run([LQ, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False,
                                input=stdin, env={**self.env, **(env or {})})
        assert answer.returncode == code, (arguments, answer.returncode, answer.stdout, answer.stderr)
        self.said = answer.stderr
        return answer.stdout

    def json(self, *arguments, **more):
        return json.loads(self.lq(*arguments, "--json", **more))


@pytest.fixture
def person(server, tmp_path):
    somebody = Person(tmp_path / "home")
    token = tmp_path / "admin.token"
    token.write_text(server.admin_token + "\n")
    somebody.lq("login", server.address, "--ca", server.ca, "--token-file", token)
    return somebody


def write(tmp_path, text, name="job.yaml"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.quick
def test_login_keeps_the_token_to_its_owner(person):
    assert os.stat(os.path.join(person.home, "config.yaml")).st_mode & 0o777 == 0o600
    assert person.json("whoami")["name"] == "admin"


@pytest.mark.quick
def test_login_by_pin(person, server, tmp_path):
    pin = person.json("join-token", "x", "--operator", "o")["token"].split(".")[1]
    token = write(tmp_path, server.admin_token, "t")
    other = Person(tmp_path / "other")
    other.lq("login", server.address, "--pin", "0" * 64, "--token-file", token, code=4)
    assert "not the pinned one" in other.said
    other.lq("login", server.address, "--pin", "xyz", "--token-file", token, code=2)
    other.lq("login", server.address, "--pin", pin, "--token-file", token)
    assert other.json("whoami")["name"] == "admin"


@pytest.mark.quick
def test_no_server_known_and_no_server_there(person, server, tmp_path):
    Person(tmp_path / "nobody").lq("jobs", code=2)
    server.stop()
    person.lq("jobs", code=5)
    assert server.address in person.said and "refused" in person.said
    assert person.said.count(server.address) == 1
    server.start()
    person.lq("jobs")


@pytest.mark.quick
def test_tokens_that_are_not_good(person, make_server):
    person.lq("jobs", env={"LQ_TOKEN": "nonsense"}, code=4)
    person.lq("jobs", env={"LQ_TOKEN": "lq_" + "0" * 72}, code=4)
    token = person.lq("token", "create", "--expires", "1s").strip()
    until = time.monotonic() + 30
    while time.monotonic() < until:
        answer = subprocess.run([LQ, "jobs"], env={**person.env, "LQ_TOKEN": token}, capture_output=True, text=True,
                                check=False)
        if answer.returncode != 0:
            break
        time.sleep(0.1)
    assert answer.returncode == 4 and "expired" in answer.stderr
    given = person.json("token", "create", "--label", "short")
    person.lq("jobs", env={"LQ_TOKEN": given["token"]})
    person.lq("token", "revoke", given["id"])
    person.lq("jobs", env={"LQ_TOKEN": given["token"]}, code=4)
    assert "revoked" in person.said
    other = make_server(name="t")
    person.lq("jobs", env={"LQ_CA": other.ca}, code=4)
    assert "certificate was not accepted" in person.said


@pytest.mark.quick
@pytest.mark.parametrize("text, where", [
    ("name: x\nresources:\n  cpus: 1\n  cpus: 2\nrun: echo\n", ":4:3: resources.cpus: is given twice"),
    ("name: x\nresources:\n  cpu: 1\nrun: echo\n", 'resources.cpu: unknown field "cpu"; did you mean "cpus"?'),
    ("name: x\n  run: [\n", ":1:"),
    ("jobs:\n  - {name: a, run: echo}\n  - name: b\n    run: echo\n    resources: {memory: lots}\n", ":5:"),
    ("name: 9223372036854775808000\nrun: echo\n", ":1:7:"),
    ("[]\n", "a job is a mapping"),
])
def test_a_wrong_job_file_is_told_with_its_place(person, tmp_path, text, where):
    path = write(tmp_path, text)
    person.lq("submit", "-y", path, code=2)
    assert person.said.startswith(f"lq: {path}") and where in person.said, person.said
    assert person.json("jobs")["items"] == []


@pytest.mark.quick
def test_nothing_is_submitted_without_a_yes(person, tmp_path):
    path = write(tmp_path, JOB)
    person.lq("submit", path, code=1)
    assert "no terminal to ask" in person.said
    plan = person.json("submit", path, "--dry-run")
    assert plan["sites"] == [] and plan["verdict"] in ("later", "impossible")
    assert person.json("jobs")["items"] == []
    person.lq("submit", tmp_path / "missing.yaml", code=3)
    job = person.lq("submit", "-y", path).strip()
    assert [item["id"] for item in person.json("jobs")["items"]] == [job]
    assert person.lq("submit", "-y", "-", "--name", "piped", stdin=JOB).startswith("job_")
    assert person.json("jobs", "--name", "piped")["items"][0]["name"] == "piped"


@pytest.mark.quick
def test_things_that_are_not_there(person):
    for arguments in (("show", "job_01m8139yg8esebw73nhgnaznc0"), ("logs", "job_01m8139yg8esebw73nhgnaznc0"),
                      ("explain", "foo"), ("cancel", "foo"), ("sites", "nope"), ("drain", "nope"),
                      ("tenant", "show", "nope"), ("token", "create", "--user", "nope"), ("get", "art_x"),
                      ("up", "nowhere.yaml")):
        person.lq(*arguments, code=3)


@pytest.mark.quick
def test_a_closed_reader_is_no_failure_and_a_full_disk_is(person, tmp_path):
    person.lq("submit", "-y", write(tmp_path, JOB.replace("run:", "array: 500\nrun:")))
    for arguments in (["jobs", "--limit", "0"], ["events"], ["audit-log"]):
        process = subprocess.Popen([LQ, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=person.env)
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0, arguments
        with open("/dev/full", "w", encoding="ascii") as full:
            answer = subprocess.run([LQ, *arguments, *(["--json"] if arguments[0] == "jobs" else [])], stdout=full,
                                    stderr=subprocess.PIPE, text=True, env=person.env, check=False)
        assert answer.returncode == 1 and "cannot write the output" in answer.stderr, arguments


@pytest.mark.quick
def test_lists_longer_than_a_page_come_whole(person, tmp_path):
    for _ in range(3):
        person.lq("submit", "-y", write(tmp_path, JOB.replace("run:", "array: 900\nrun:")))
    answer = person.json("jobs", "--limit", "0")
    assert len({item["id"] for item in answer["items"]}) == 2700 and answer["has_more"] is False
    answer = person.json("jobs", "--limit", "1500")
    assert len(answer["items"]) == 1500 and answer["has_more"] is True


@pytest.mark.quick
def test_foreign_text_cannot_drive_the_terminal_and_tables_fit_it(person, server, tmp_path):
    server.region("west")
    assert server.admin.put("/v1/sites/alpha", site_body("alpha")).status in (200, 201)
    answer = server.admin.post("/v1/tenants", {"name": "t1", "title": "a\u001b[31mb\u009bc" + "long" * 40,
                                               "parent": person.json("whoami")["tenant"]})
    if answer.status == 201:  # the server may refuse such a title; then nothing can reach the table
        table = person.lq("tenant", "list")
        assert "\x1b" not in table and "\u009b" not in table
    leader, follower = pty.openpty()
    subprocess.run(["stty", "cols", "60"], stdin=follower, check=True)
    process = subprocess.Popen([LQ, "tenant", "list"], stdout=follower, stdin=follower, env=person.env)
    assert process.wait(30) == 0
    os.close(follower)
    text = b""
    try:
        while chunk := os.read(leader, 65536):
            text += chunk
    except OSError:
        pass  # a terminal whose other end is closed
    os.close(leader)
    lines = text.decode().split("\r\n")
    assert len(lines) >= 2 and all(len(line) <= 60 for line in lines), lines
