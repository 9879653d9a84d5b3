"""Programs that mean harm: to the machine, to other people's files, to the agent's disk, to readers of logs."""

import hashlib
import json
import os
import time

import pytest
from lingqu import living_net, processes


@pytest.fixture(scope="module")
def net():
    with living_net() as net:
        net.site("alpha", nodes=[f"n{i}:cpus=2,mem=1GiB" for i in range(2)])
        yield net


def healthy(net):
    """The site still takes work, runs it at once, and has nothing left of the last."""
    job = net.submit("echo fine", name="healthy")
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    net.wait(lambda: not net.agents["alpha"].programs() or None, 20, "no process left")


@pytest.mark.quick
def test_a_fork_bomb_stays_within_its_number_of_processes_and_dies_whole(net):
    before = len(processes())
    job = net.submit("b() { b | b & }; b; b; sleep 30", name="bomb", time_limit="2s", checkpoint={"grace": "100ms"},
                     resources={"cpus": 0.5, "memory": "128MiB", "pids": 60})
    most = 0
    until = time.monotonic() + 20
    while net.job(job)["state"] not in ("failed", "succeeded") and time.monotonic() < until:
        most = max(most, len(net.agents["alpha"].programs()))
    view = net.wait_job(job)
    assert view["state"] in ("failed", "succeeded"), net.about(job)
    assert 0 < most <= 60 + 12, f"{most} processes"
    healthy(net)
    assert len(processes()) < before + 40


@pytest.mark.parametrize("place", ["$PWD/f", "/tmp/f", "$PWD/a/b"])
def test_a_job_that_fills_the_disk_is_ended_at_its_scratch_limit(net, place):
    job = net.submit(f"mkdir -p a; i=0; while :; do head -c 4000000 /dev/zero >{place}$i || exit 9; i=$((i+1)); done",
                     name="filler", time_limit="30s", resources={"cpus": 1, "memory": "128MiB", "scratch": "64MiB"})
    most = 0
    while net.job(job)["state"] in ("pending", "active"):
        used = 0
        for folder, _, files in os.walk(net.agents["alpha"].attempts):
            for name in files:
                try:
                    used += os.lstat(os.path.join(folder, name)).st_size
                except OSError:
                    pass
        most = max(most, used)
    view = net.job(job)
    assert view["state"] == "failed", net.about(job)
    assert most < 1 << 30, f"{most >> 20} MiB were used"
    assert view["attempts"][-1]["ran_ms"] < 25000, "only the time limit ended it"
    healthy(net)


def test_a_job_that_floods_its_log_is_bounded(net):
    job = net.submit("head -c 200000000 /dev/zero | tr '\\0' 'x'; echo; echo the end", name="flood")
    assert net.wait_job(job, seconds=60)["state"] == "succeeded", net.about(job)
    size = 0
    for folder, _, files in os.walk(net.server.state):
        size += sum(os.path.getsize(os.path.join(folder, name)) for name in files if "logs" in folder)
    assert size < 80 << 20, f"{size >> 20} MiB of log"
    healthy(net)


def secrets(net):
    """Files that no program may get at."""
    state = net.agents["alpha"].state
    paths = [os.path.join(state, "agent.key"), os.path.join(state, "journal.db"),
             os.path.join(net.server.state, "admin.token"), os.path.join(net.server.state, "ca.key"), "/etc/shadow"]
    return {path: open(path, "rb").read() for path in paths if os.access(path, os.R_OK)}


def kept(net):
    """Bytes of every chunk in the server's store."""
    found = []
    for folder, _, files in os.walk(os.path.join(net.server.state, "chunks")):
        for name in files:
            with open(os.path.join(folder, name), "rb") as file:
                found.append(file.read())
    return found


LINKS = """
mkdir -p out ckpt
i=0
for target in $TARGETS; do
    i=$((i+1))
    ln -s $target out/abs$i; ln -s ../../../../../../../../..$target out/rel$i
    ln -s $target ckpt/abs$i; ln -s ../../../../../../../../..$target ckpt/rel$i
done
ln -s / out/root; ln -s / ckpt/root; ln -s .. out/up; ln -s out/../../../.. out/dots
mkfifo out/pipe ckpt/pipe
echo honest >out/honest; echo honest >ckpt/honest
ln -s honest out/inside
ln out/honest out/hard
cat $TARGETS 2>&1
sleep 1.5
"""


def test_links_in_outputs_and_checkpoints_lead_nowhere_outside(net):
    guarded = secrets(net)
    assert guarded
    job = net.submit(LINKS, name="links", outputs=["out"], checkpoint={"dir": "ckpt", "every": "1s"},
                     envs={"TARGETS": " ".join(guarded)})
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    output = net.wait_artifact(job, "output")
    checkpoint = net.wait_artifact(job, "checkpoint")
    assert net.file(output["id"], "out/honest") == b"honest\n"
    for artifact in (output, checkpoint):
        manifest = net.admin.get(f"/v1/artifacts/{artifact['id']}").json()
        manifest = manifest.get("manifest", manifest)
        for entry in manifest["entries"]:
            if entry["kind"] == "link":
                assert not entry["target"].startswith("/") and ".." not in entry["target"], entry
            assert not entry["path"].startswith("/") and ".." not in entry["path"].split("/"), entry
            assert "pipe" not in entry["path"], entry
    chunks = kept(net)
    log = net.log(job).encode()
    for path, content in guarded.items():
        assert not any(content in chunk for chunk in chunks if content), f"{path} got out by a link"
        assert content not in log, f"{path} can be read in the sandbox"


@pytest.mark.parametrize("swap", ["ln -s /etc {0}", "ln -s ../../../../../../etc {0}", "ln -s / {0}"])
def test_a_folder_that_is_itself_a_link_is_not_followed(net, swap):
    run = "\n".join(["echo x >seen"] + ["rm -rf " + name + "; " + swap.format(name) for name in ("out", "ckpt")] + ["sleep 1.2"])
    job = net.submit(run, name="swapped", outputs=["out", "seen"], checkpoint={"dir": "ckpt", "every": "1s"})
    net.wait_job(job)
    output = net.wait_artifact(job, "output")
    manifest = net.admin.get(f"/v1/artifacts/{output['id']}").json()
    manifest = manifest.get("manifest", manifest)
    assert [entry["path"] for entry in manifest["entries"] if entry["kind"] == "file"] == ["seen"]
    with open("/etc/hostname", "rb") as file:
        name = file.read()
    assert not any(chunk == name for chunk in kept(net))
    assert net.artifacts(job, "checkpoint") == []


def test_a_folder_that_turns_into_a_link_while_it_is_copied_is_not_followed(net):
    run = """
        mkdir real; echo mine >real/shadow; echo x >seen
        (while :; do rm -rf out; ln -s /etc out; rm -f out; cp -r real out; done) &
        sleep 4; kill $!; rm -rf out; cp -r real out
    """
    job = net.submit(run, name="racing", outputs=["out", "seen"], checkpoint={"dir": "out", "every": "1s"})
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    net.wait_artifact(job, "output")
    guarded = {path: content for path, content in secrets(net).items() if path.startswith("/etc/")}
    for content in guarded.values():
        assert not any(content in chunk for chunk in kept(net))


DIGEST = hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize("entries", [
    [{"path": "../evil", "kind": "file", "mode": 0o644, "size": 1, "chunks": [[DIGEST, 1]]}],
    [{"path": "/etc/evil", "kind": "file", "mode": 0o644, "size": 1, "chunks": [[DIGEST, 1]]}],
    [{"path": "a/../../evil", "kind": "file", "mode": 0o644, "size": 1, "chunks": [[DIGEST, 1]]}],
    [{"path": "a", "kind": "link", "target": "/etc"}],
    [{"path": "a", "kind": "link", "target": "../.."}],
    [{"path": "a", "kind": "link", "target": "b"}, {"path": "a/x", "kind": "file", "mode": 0o644, "size": 1, "chunks": [[DIGEST, 1]]}],
    [{"path": "a\0b", "kind": "folder", "mode": 0o755}],
    [{"path": ".", "kind": "folder", "mode": 0o755}],
    [{"path": "a//b", "kind": "folder", "mode": 0o755}],
    [{"path": "a", "kind": "folder", "mode": 0o755}, {"path": "a", "kind": "folder", "mode": 0o755}],
    [{"path": "a", "kind": "file", "mode": 0o4755, "size": 1, "chunks": [[DIGEST, 1]]}],
    [{"path": "a", "kind": "file", "mode": 0o644, "size": 2, "chunks": [[DIGEST, 1]]}],
])
def test_a_work_folder_with_a_path_that_leaves_it_is_refused(net, entries):
    assert net.admin.call("PUT", f"/v1/chunks/{DIGEST}", b"x").status == 204
    answer = net.admin.post("/v1/artifacts", {"kind": "workdir", "manifest": {"format": 1, "entries": entries}})
    assert answer.status in (400, 422), answer
    assert not os.path.exists("/etc/evil")


@pytest.mark.parametrize("spec", [
    {"name": "two\nlines"}, {"name": "# comment"}, {"name": "-rf"}, {"name": "tab\there"}, {"name": "bell\x07"}, {"name": ""},
    {"name": "x" * 129}, {"envs": {"A\nB": "1"}}, {"envs": {"A=B": "1"}}, {"envs": {"1A": "1"}}, {"envs": {"A": "x\0y"}},
    {"envs": {"LQ_SITE": "x"}}, {"outputs": ["../up"]}, {"outputs": ["/etc"]}, {"outputs": ["a/../../b"]},
    {"checkpoint": {"dir": "../up"}}, {"checkpoint": {"dir": "/"}}, {"workdir": "../../etc"}, {"workdir": "/etc"},
    {"envs": {"A": "x" * 70000}}, {"envs": {f"A{i}": "x" for i in range(257)}},
    {"envs": {f"A{i}": "x" * 1000 for i in range(100)}},
])
def test_a_name_or_path_or_environment_that_could_do_harm_is_refused_with_its_field(net, spec):
    body = {"name": "n", "run": "true", "resources": {"cpus": 0.1, "memory": "16MiB"}, **spec}
    answer = net.admin.post("/v1/jobs", body)
    assert answer.status in (400, 413, 422), answer
    assert answer.json().get("field", "").startswith(next(iter(spec))), answer


def test_the_largest_environment_that_is_allowed_arrives_whole(net):
    envs = {f"A{i:03}": "é" * 100 + "$(touch /tmp/x)`id`'\"\\\n#" for i in range(250)}
    job = net.submit("env -0 | tr '\\0' '\\1' | sort -z >/dev/null; echo ${#A000} ${#A249}; [ -e /tmp/x ] && echo ran; env | grep -c touch",
                     name="envs", envs=envs)
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    log = net.wait_log(job, "250")
    assert "ran" not in log


def test_output_cannot_speak_in_the_name_of_the_event_stream(net):
    job = net.submit("printf 'event: end\\ndata: {}\\n\\nid: 7\\r\\rdata: x\\n\\n\\033[2J\\000\\377tail\\n'", name="speaker")
    net.wait_job(job)
    net.wait_log(job, "tail")
    answer = net.admin.call("GET", f"/v1/jobs/{job}/logs", None, {"Accept": "text/event-stream"})
    assert answer.status == 200 and answer.headers["content-type"].startswith("text/event-stream")
    text = answer.body.decode()
    assert text.count("event: end") == 1 or text.count("\nevent: end\n") == 1, text
    pieces = [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]
    assert "event: end\ndata: {}" in "".join(piece.get("text", "") for piece in pieces)
    assert pieces[-1] == {}


def test_programs_see_nothing_of_each_other_or_of_the_agent(net):
    other = net.submit("echo secret-of-another >private-of-another; sleep 5", name="other", envs={"TOKEN": "token-of-another"})
    net.wait_running(other)
    job = net.submit("""
        cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n' | sort -u
        find / -xdev -maxdepth 4 -name "private-of*" -o -name journal.db -o -name agent.key -o -name supervise.sock 2>/dev/null
        kill -9 -1; echo alive
        cat /etc/shadow; mount -t tmpfs x /mnt; chroot /; unshare -U true; mknod x b 8 0; ls -la /proc/1/root/root
        : >/proc/sys/kernel/hostname
    """, name="curious")
    net.wait_job(job, seconds=100)
    log = net.log(job)
    for forbidden in ("token-of-another", "journal.db", "agent.key", "supervise.sock", "private-of-another", "root:*", "root:$", "root:!"):
        assert forbidden not in log, (forbidden, log)
    assert net.wait_job(other)["state"] == "succeeded"  # nobody killed it
    healthy(net)
