"""What scenarios need of a living network: sites that are killed and come back, evidence of what really
ran that owes nothing to our programs, and the books (usage, journals, audit) read from outside.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import struct
import tempfile
import threading
import time

from living import LQ, Network, Process

FINAL = ("succeeded", "failed", "cancelled")
# A network whose patience fits a test. Every limit is far above what a busy machine needs.
SHORT = ("--lease-floor", "4s", "--kill-time", "2s", "--lost-after", "3s", "--usage-every", "1s")


# ---- processes, as the kernel shows them

def processes():
    """{pid: (parent, argv as one text)} of all that are not dead."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                argv = file.read().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            continue
        if state not in "ZX":
            found[int(pid)] = (int(parent), argv)
    return found


def with_text(text):
    """Pids of processes that name `text` in their arguments, and of all below them."""
    table = processes()
    found = {pid for pid, (_, argv) in table.items() if text in argv} - {os.getpid()}
    while True:
        more = {pid for pid, (parent, _) in table.items() if parent in found} - found
        if not more:
            return found
        found |= more


def kill_all(text):
    """kill -9 of all that with_text finds, until nothing is found."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        pids = with_text(text)
        if not pids:
            return
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    raise AssertionError(f"processes do not die: {[processes().get(pid) for pid in with_text(text)]}")


def uptime():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


# ---- sites

class Agent:
    """`lq agent` and what it started. Its folder outlives its process."""

    def __init__(self, network, name, argv, token):
        self.network, self.name = network, name
        self.state = os.path.join(network.folder, name)
        self.log = os.path.join(network.folder, name + ".log")
        self.argv, self.token = argv, token
        self.process = None

    def start(self):
        first = [] if os.path.exists(os.path.join(self.state, "agent.pem")) else ["--join", self.token]
        self.process = Process([LQ, "agent", "--state", self.state, *self.argv, *first], self.log)
        self.id = self.process.ready
        return self

    @property
    def attempts(self):
        return os.path.join(self.state, "attempts")

    def programs(self):
        """Pids of supervisors and all below them."""
        return with_text(self.attempts + "/")

    def kill(self):
        """The agent alone; what it started runs on."""
        self.process.kill()

    def kill_whole(self):
        """The site's power goes: the agent and all that it started."""
        self.process.kill()
        kill_all(self.attempts + "/")

    def stop(self):
        self.process.stop()

    def restart(self, how="kill"):
        getattr(self, how)()
        return self.start()

    def is_alive(self):
        return self.process is not None and self.process.process.poll() is None

    def journal(self):
        """The journal's tables as lists of dicts; read from a copy, which is whole when nobody writes."""
        with tempfile.TemporaryDirectory(prefix="lq-journal-") as folder:
            for name in os.listdir(self.state):
                if name.startswith("journal.db") and not name.endswith(".lock"):
                    shutil.copy(os.path.join(self.state, name), folder)
            database = sqlite3.connect(os.path.join(folder, "journal.db"))
            database.row_factory = sqlite3.Row
            tables = {name: [dict(row) for row in database.execute(f"SELECT * FROM {name}")]
                      for name in ("meta", "attempt", "usage")}
            database.close()
            return tables


class Net(Network):
    """A server and sites with the short limits."""

    def __init__(self, folder, *flags):
        super().__init__(folder, *SHORT, *flags)

    def site(self, name="alpha", region="west", operator="op1", nodes=("n0:cpus=4,mem=2GiB",), ask="0.10", flags=(),
             start=True):
        answer = self.admin.post("/v1/join-tokens", {"site": name, "operator": operator})
        assert answer.status == 201, answer
        argv = ["--server", self.server.address, "--site", name, "--region", region, "--operator", operator,
                "--cpu-ask", ask, "--example-ask", "--ask-source", "example", "--ignore-foreign-load", *flags]
        for node in nodes:
            argv += ["--node", node]
        agent = Agent(self, name, argv, answer.json()["token"])
        self.agents[name] = agent
        return agent.start() if start else agent

    def submit(self, run, name="job", client=None, **spec):
        spec = {"name": name, "run": run, "resources": {"cpus": 0.5, "memory": "64MiB"}, **spec}
        answer = (client or self.admin).post("/v1/jobs", spec)
        assert answer.status == 201, answer
        jobs = [job["id"] for job in answer.json()["jobs"]]
        return jobs if "array" in spec else jobs[0]

    def job(self, job):
        answer = self.admin.get(f"/v1/jobs/{job}")
        assert answer.status == 200, answer
        return answer.json()

    def wait_job(self, job, *states, seconds=40):
        """Until the job is in one of the states (default: ended); its view."""
        def look():
            view = self.job(job)
            return view if view["state"] in (states or FINAL) else None
        return self.wait(look, seconds, lambda: f"{job} in {states or FINAL}: {self.about(job)}")

    def wait_running(self, job, seconds=40, site=None, attempt=None):
        """Until an attempt runs (at that site, with that number); it."""
        def look():
            last = (self.job(job)["attempts"] or [None])[-1]
            if last is None or last["state"] != "running" or (attempt is not None and last["attempt"] != attempt) or \
                    (site is not None and last["site_name"] != site):
                return None
            return last
        return self.wait(look, seconds, lambda: f"{job} running: {self.about(job)}")

    def about(self, job):
        view = self.job(job)
        return {key: view.get(key) for key in ("state", "outcome", "exit_code", "infra_failures", "attempts")}, \
            self.log(job)[-2000:]

    def log(self, job, **query):
        answer = self.admin.get(f"/v1/jobs/{job}/logs", **query)
        assert answer.status == 200, answer
        return answer.body.decode(errors="replace")

    def wait_log(self, job, text, seconds=30, **query):
        def look():
            log = self.log(job, **query)
            return log if text in log else None
        return self.wait(look, seconds, lambda: f"{text!r} in the log of {job}: {self.about(job)}")

    def artifacts(self, job, kind):
        answer = self.admin.get(f"/v1/jobs/{job}/artifacts")
        assert answer.status == 200, answer
        return [row for row in answer.json()["items"] if row["kind"] == kind]

    def wait_artifact(self, job, kind, seconds=30):
        return self.wait(lambda: self.artifacts(job, kind), seconds, f"{kind} of {job}")[0]

    def file(self, artifact, path):
        answer = self.admin.get(f"/v1/artifacts/{artifact}/files/{path}")
        assert answer.status == 200, answer
        return answer.body

    def wait(self, condition, seconds=30, what="it"):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError(f"not in {seconds} s: {what() if callable(what) else what}")

    def everything(self, path, **query):
        """All pages of a list."""
        items, cursor = [], None
        while True:
            answer = self.admin.get(path, limit=1000, **query, **({"cursor": cursor} if cursor else {}))
            assert answer.status == 200, answer
            items += answer.json()["items"]
            cursor = answer.json().get("next")
            if not cursor:
                return items

    def everything_after(self, path):
        """All of a list that is numbered."""
        items = []
        while True:
            answer = self.admin.get(path, limit=1000, after=items[-1]["seq"] if items else 0)
            assert answer.status == 200, answer
            items += answer.json()["items"]
            if not answer.json()["next"]:
                return items

    def usage(self, **query):
        return self.everything("/v1/usage/records", **query)

    def settle(self, seconds=30):
        """Until every attempt that ran has its last usage record at the server, and the server has all that the
        sites have numbered; all records."""
        def look():
            records = self.usage()
            for agent in self.agents.values():
                try:
                    numbered = max((meta["usage_seq"] for meta in agent.journal()["meta"]), default=0)
                except (sqlite3.Error, FileNotFoundError):
                    return None  # copied while it was written
                if numbered > max((record["seq"] for record in records if record["site"] == agent.id), default=0):
                    return None
            done = {(record["job"], record["epoch"], record["attempt"])
                    for record in records if record.get("is_last")}
            begun = {(record["job"], record["epoch"], record["attempt"]) for record in records}
            for job in self.everything("/v1/jobs"):
                begun |= {(job["id"], attempt["epoch"], attempt["attempt"]) for attempt in self.job(job["id"])["attempts"]
                          if attempt["state"] == "ended" and attempt.get("started_at")}
            return records if begun <= done else None
        return self.wait(look, seconds, "the last usage of every attempt")

    def stop(self):
        failures = []
        self.admin.close()  # a server that ends lingers for clients that hold idle connections
        for process in [*[agent for agent in self.agents.values() if agent.is_alive()], self.server]:
            if process is self.server and self.server.process.process.poll() is not None:
                continue
            try:
                process.stop()
            except AssertionError as error:
                failures.append(str(error))
        for agent in self.agents.values():
            kill_all(agent.attempts + "/")
            with open(agent.log, encoding="utf-8", errors="replace") if os.path.exists(agent.log) \
                    else contextlib.nullcontext() as file:
                text = file.read() if file else ""
            if "Sanitizer" in text or "runtime error:" in text or "assertion failed" in text.lower():
                failures.append(f"{agent.name}: {text[-6000:]}")
        text = self.server.process.text()
        if "Sanitizer" in text or "runtime error:" in text or "assertion failed" in text.lower():
            failures.append(f"server: {text[-6000:]}")
        assert not failures, "\n".join(failures)


@contextlib.contextmanager
def living_net(*flags):
    """A network in a folder of its own, stopped whatever happens."""
    folder = tempfile.mkdtemp(prefix="lq-")
    net = Net(folder, *flags)
    try:
        yield net
    finally:
        try:
            net.stop()
        finally:
            shutil.rmtree(folder, ignore_errors=True)


# ---- the books

def usage_is_whole(records):
    """Each stream gapless from 1, each once; each attempt's records add up to their last total. Sums by attempt."""
    streams, attempts = {}, {}
    for record in records:
        streams.setdefault((record["site"], record["journal"]), []).append(record["seq"])
    for stream, seqs in streams.items():
        assert sorted(seqs) == list(range(1, len(seqs) + 1)), f"{stream} has {sorted(seqs)}"
    for record in sorted(records, key=lambda record: (record["journal"], record["seq"])):
        key = (record["journal"], record["job"], record["epoch"], record["attempt"])
        sums = attempts.setdefault(key, {"last": 0})
        assert sums["last"] == 0, f"{key}: a record after the last"
        sums["last"] += bool(record.get("is_last"))
        for name, value in record["delta"].items():
            assert value >= 0, record
            sums[name] = sums.get(name, 0) + value
        for name, value in record["total"].items():
            assert sums[name] == value, f"{key}: {name} adds up to {sums[name]}, said is {value}"
    return attempts


QUANTITIES = {"wall": "wall_ms", "cpu": "cpu_ms", "cpu_held": "cpu_held_ms", "accel": "accel_ms", "mem": "mem_mib_ms",
              "gate_wait": "gate_wait_ms", "kill_wait": "kill_wait_ms"}


def journal_agrees(agent, records):
    """The journal has handed over all that it numbered, and what it still keeps is what the server has."""
    tables = agent.journal()
    if not tables["meta"]:
        return
    meta = tables["meta"][0]
    mine = {record["seq"]: record for record in records if record["site"] == agent.id}
    assert len(mine) == meta["usage_seq"] == max(mine, default=0), (agent.name, len(mine), meta["usage_seq"])
    for row in tables["usage"]:
        record = mine[row["seq"]]
        assert (row["attempt"], row["epoch"], bool(row["is_last"])) == \
            (record["attempt"], record["epoch"], bool(record.get("is_last"))), (row, record)
        for column, name in QUANTITIES.items():
            assert row[column] == record["delta"][name], (agent.name, row["seq"], name, row, record)
            assert row["all_" + column] == record["total"][name], (agent.name, row["seq"], name, row, record)


def audit_chain(records):
    """The chain of the API's records, recomputed."""
    previous = bytes(32)
    for number, record in enumerate(records, 1):
        assert record["seq"] == number, (record["seq"], number)
        assert bytes.fromhex(record["previous"]) == previous, record
        previous = bytes.fromhex(record["hash"])
        detail = record.get("detail")
        text = b"" if detail is None else json.dumps(detail, separators=(",", ":"), ensure_ascii=False).encode()
        bytes_ = b"lingqu-audit-1\n\0" + struct.pack("<Qq", record["seq"], record["at_us"])
        for field in (record["actor"].encode(), record.get("tenant", "").encode(), record["action"].encode(),
                      record.get("subject", "").encode(), text):
            bytes_ += struct.pack("<Q", len(field)) + field
        bytes_ += bytes.fromhex(record["previous"])
        assert hashlib.sha256(bytes_).hexdigest() == record["hash"], record
    return len(records)


# ---- evidence of what ran

class Evidence:
    """A folder of the machine that programs see read-only, and still leave proof in: each holds an open lock on
    a file of its attempt for as long as any process of it lives, tries the locks of the job's other
    attempts, and writes what it did into a pipe. None of that passes through our programs.
    """

    ATTEMPTS = 8

    def __init__(self):
        # /tmp is private in a sandbox; what lies below a machine's shared memory can be shown in it
        self.folder = tempfile.mkdtemp(prefix="lq-evidence-", dir="/dev/shm")
        os.chmod(self.folder, 0o755)
        self.pipe = os.path.join(self.folder, "pipe")
        os.mkfifo(self.pipe)
        os.chmod(self.pipe, 0o666)
        self.end = os.open(self.pipe, os.O_RDWR | os.O_NONBLOCK)
        self.lines, self.rest = [], b""
        self.stopped = threading.Event()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while not self.stopped.is_set():
            try:
                self.rest += os.read(self.end, 65536)
            except BlockingIOError:
                self.stopped.wait(0.01)
                continue
            *lines, self.rest = self.rest.split(b"\n")
            self.lines += [line.decode().split() for line in lines]

    def flags(self):
        return ("--read-only", self.folder)

    def script(self, name, work, ranks=1):
        """The run script of job `name`: `work` between its proofs."""
        for attempt in range(1, self.ATTEMPTS + 1):
            for rank in range(ranks):
                path = os.path.join(self.folder, f"{name}.{attempt}.{rank}")
                with open(path, "wb"):
                    pass
                os.chmod(path, 0o644)
        return "\n".join([
            f"e={self.folder} j={name} a=$LQ_ATTEMPT r=$LQ_NODE_RANK",
            'exec 9<"$e/$j.$a.$r" || exit 90',
            "flock -x 9",
            'say() { read up rest </proc/uptime; echo "$1 $j $a $r $up $LQ_ATTEMPT_NAME $2" >"$e/pipe"; }',
            'say start',
            f'for o in 1 2 3 4 5 6 7 8; do [ $o -le $((a + 3)) ] && [ $o != $a ] && for q in {" ".join(map(str, range(ranks)))}; do',
            '  { flock -s -n 8 || say double $o; } 8<"$e/$j.$o.$q"; done; done',
            work,
            "status=$?",
            "say stop $status",
            "exit $status",
        ]) + "\n"

    def said(self, word, job=None):
        return [line for line in list(self.lines) if line[0] == word and (job is None or line[1] == job)]

    def no_double(self):
        doubles = self.said("double")
        assert not doubles, f"ran twice at once: {doubles}"

    def close(self):
        self.stopped.set()
        self.reader.join()
        os.close(self.end)
        shutil.rmtree(self.folder, ignore_errors=True)
