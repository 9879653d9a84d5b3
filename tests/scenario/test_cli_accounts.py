"""Accounts, policy and records by the command line."""

import csv
import io
import os
import sqlite3
import subprocess

import pytest

from conftest import LQ
from test_cli_errors import JOB, Person, person, write  # noqa: F401 (a fixture)

pytestmark = pytest.mark.quick


def test_tenants_users_and_tokens(person, server, tmp_path):  # noqa: F811
    person.lq("tenant", "create", "lab", "--title", "The lab", "--cpus", "16", "--storage", "500GiB")
    person.lq("tenant", "create", "team", "--parent", "lab", "--weight", "3", "--time-limit", "2h")
    person.lq("tenant", "create", "team", "--parent", "lab", code=6)
    lines = person.lq("tenant", "list").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["root", "lab", "team"]
    assert lines[3].startswith("    team")
    changed = person.json("tenant", "set", "lab", "--cpus", "0.5", "--no-limit", "storage")
    assert changed["quota"] == {"cpus": 0.5} and changed["title"] == "The lab"
    changed = person.json("tenant", "set", "team", "--no-limit", "time-limit", "--accelerators", "8")
    assert changed["quota"] == {"accelerators": 8} and "default_time_limit" not in changed and changed["weight"] == 3
    person.lq("user", "create", "mei", "--tenant", "team", "--role", "member")
    person.lq("user", "create", "eve", "--tenant", "team", "--role", "king", code=2)
    out = tmp_path / "mei.token"
    person.lq("token", "create", "--user", "mei", "--expires", "1h", "-o", out)
    assert os.stat(out).st_mode & 0o777 == 0o600
    mei = Person(tmp_path / "mei")
    mei.lq("login", server.address, "--ca", server.ca, "--token-file", out)
    assert "team" in mei.lq("whoami")
    mei.lq("submit", "-y", write(tmp_path, JOB))
    mei.lq("submit", "-y", write(tmp_path, JOB), "--tenant", "lab", code=3)  # not to be seen, so not there
    mei.lq("tenant", "set", "team", "--cpus", "64", code=4)
    mei.lq("policy", "set", "--lease-floor", "1s", code=4)
    person.lq("tenant", "delete", "team", "-y", code=6)
    only = person.lq("token", "create", "--scope", "job.read").strip()
    person.lq("submit", "-y", write(tmp_path, JOB), env={"LQ_TOKEN": only}, code=4)
    person.lq("jobs", env={"LQ_TOKEN": only})


def test_policy_regions_and_links(person):  # noqa: F811
    assert person.json("policy", "set", "--lease-floor", "10m", "--contact-limit", "45s")["lease_floor"] == "10m"
    assert person.json("policy", "show")["contact_limit"] == "45s"
    person.lq("policy", "set", "--lease-floor", "1", code=2)
    person.lq("region", "set", "west", "--jurisdiction", "CN", "--price", "0.36", "--price-source", "example: made up")
    person.lq("region", "set", "west", "--pue", "1.2")
    person.lq("region", "set", "east", "--jurisdiction", "CN", "--role", "serve")
    west = next(item for item in person.json("region", "list")["items"] if item["name"] == "west")
    assert west["price_per_kwh"] == "0.36" and west["price_is_example"] is True and float(west["pue"]) == 1.2
    assert "0.36 (example)" in person.lq("region", "list")
    person.lq("link", "set", "west", "east", "--rtt-ms", "21.9", "--source", "measured")
    assert person.json("link", "list")["items"][0]["source"] == "measured"
    person.lq("link", "set", "west", "nowhere", "--rtt-ms", "1", code=2)


def test_the_audit_log_is_whole_until_someone_touches_it(person, server):  # noqa: F811
    for name in ("a", "b", "c"):
        person.lq("tenant", "create", name)
    items = person.json("audit-log", "-n", "3")["items"]
    assert [item["action"] for item in items] == ["tenant.create"] * 3
    assert person.json("audit-log", "--after", "1", "-n", "1")["items"][0]["seq"] == 2
    before = person.json("audit-log", "--verify")
    assert before["is_intact"] and before["last_hash"] == items[-1]["hash"]
    server.stop()
    database = sqlite3.connect(os.path.join(server.state, "lingqu.db"))
    table = next(name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type='table'")
                 if name.startswith("audit"))
    database.execute(f"UPDATE {table} SET action = 'tenant.delete' WHERE seq = ?", (items[0]["seq"],))
    database.commit()
    database.close()
    server.start()
    person.lq("audit-log", "--verify", code=1)
    assert f"record {items[0]['seq']} was changed" in person.said


def test_usage_and_events_and_top_of_an_empty_network(person):  # noqa: F811
    rows = list(csv.reader(io.StringIO(person.lq("usage", "--by", "day", "--from", "24h", "--csv"))))
    assert rows[0][:3] == ["day", "id", "records"]
    person.lq("usage", "--by", "planet", code=2)
    person.lq("usage", "--from", "yesterday", code=2)
    assert "tenant.changed" in person.lq("events")
    top = person.json("top", "--once")
    assert top["stats"]["jobs_pending"] == 0 and top["sites"]["items"] == []
    assert "jobs: 0 waiting" in person.lq("top")


def test_a_backup_is_restored_once_with_a_raised_epoch(person, server, tmp_path):  # noqa: F811
    person.lq("tenant", "create", "kept")
    copy = tmp_path / "copy.db"
    person.lq("server", "backup", copy, "--state", server.state)
    person.lq("server", "backup", copy, "--state", server.state, code=6)
    person.lq("tenant", "create", "lost")
    person.lq("server", "restore", copy, "--state", server.state, "-y", code=6)  # it runs
    server.stop()
    person.lq("server", "restore", copy, "--state", server.state, code=1)  # nobody said yes
    person.lq("server", "restore", copy, "--state", server.state, "-y")
    epoch = 1
    server.start()
    names = {item["name"] for item in person.json("tenant", "list")["items"]}
    assert "kept" in names and "lost" not in names
    assert person.json("top", "--once")["stats"]["db_epoch"] == epoch + 1
    assert os.path.exists(os.path.join(server.state, "lingqu.db.before-restore-1"))


def test_events_go_on_after_a_restart(person, server):  # noqa: F811
    process = subprocess.Popen([LQ, "events", "-f", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, env=person.env)
    try:
        seen = [process.stdout.readline() for _ in range(3)]
        assert all('"seq"' in line for line in seen)
        server.restart()
        person.lq("tenant", "create", "after")
        while "tenant.changed" not in (line := process.stdout.readline()) or line in seen:
            assert line, process.stderr.read()
            seen.append(line)
    finally:
        process.kill()
        process.wait()
