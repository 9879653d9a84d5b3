"""The pool: server, agents, tenants with a queue of checkpointing jobs, and a witness that watches processes."""

import os
import random
import threading
import time

from living import LQ, Process
from slurm_net import SlurmNet

STEP_S = 0.5
STEPS_PER_CHECKPOINT = 10
RUN_S = (25.0, 75.0)
WIDE_SHARE = 0.5  # of the jobs take two devices of a node
TENANTS = {"labs": 2, "school": 1, "works": 1}
SERVER_FLAGS = ("--start-limit", "20s", "--usage-every", "10s", "--kill-time", "10s", "--lost-after", "10s")
WATCH_S = 0.5

# Steps of STEP_S, counted in the checkpoint's file name; what was done is said with the times of the steps alone,
# so that writing the checkpoint is not in them. Asked to stop: the step under way is given up, the last one kept.
PROGRAM = """\
#!/bin/bash
mkfifo "$LQ_SCRATCH_DIR/never" && exec 9<>"$LQ_SCRATCH_DIR/never"
mkdir -p ckpt
for f in ckpt/*; do [ -e "$f" ] && n=$((10#${f##*/})); done
n=${n:-0} old=
echo "begins $n $EPOCHREALTIME"
a=$n t=$EPOCHREALTIME
save() {
    [ $a = $n ] && return
    echo "did $a $n $t $EPOCHREALTIME"
    printf -v f 'ckpt/%06d' $n
    echo $n >"$f.tmp" && mv "$f.tmp" "$f" && { [ -z "$old" ] || rm -f "$old"; }
    old=$last last=$f
    echo "saved $n $EPOCHREALTIME"
    a=$n t=$EPOCHREALTIME
}
trap 'save; echo "asked $n $EPOCHREALTIME"; exit 0' USR1
while ((n < LAST)); do
    read -rt $STEP_S -u 9
    n=$((n + 1))
    ((n % EVERY)) || save
done
save
echo "done $n $EPOCHREALTIME"
"""


def read_environ(pid):
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return {}
    return dict(word.decode(errors="replace").split("=", 1) for word in words if word.startswith(b"LQ_") and b"=" in word)


class Witness(threading.Thread):
    """Looks at all processes of the machine: which attempts of one of `jobs` live at the same moment. Other networks
    may have theirs here, too."""

    def __init__(self, jobs):
        super().__init__(daemon=True)
        self.jobs = jobs
        self.over = threading.Event()
        self.known, self.doubles, self.running, self.last = {}, set(), {}, {}  # last: when an attempt was seen alive
        self.looks = 0

    def look(self):
        alive, seen = {}, {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if pid not in self.known:
                env = read_environ(pid)
                self.known[pid] = (env["LQ_JOB_ID"], env["LQ_NODE_RANK"], env["LQ_ATTEMPT"]) \
                    if "LQ_JOB_ID" in env and "LQ_ATTEMPT" in env else None
            seen[pid] = self.known[pid]
            if seen[pid] is not None and seen[pid][0] in self.jobs:
                job, rank, attempt = seen[pid]
                alive.setdefault((job, rank), set()).add(attempt)
                self.last[job, int(attempt)] = time.time()
        # A number that was looked at before its program was executed is looked at again.
        self.known = {pid: found for pid, found in seen.items() if found is not None or self.looks % 2}
        self.doubles |= {(*key, *sorted(attempts)) for key, attempts in alive.items() if len(attempts) > 1}
        self.running = alive
        self.looks += 1

    def run(self):
        while not self.over.wait(WATCH_S):
            self.look()

    def stop(self):
        self.over.set()
        self.join()


class Relay:
    """The line between an agent and the server, which can be cut."""

    def __init__(self, net, name):
        self.net, self.name, self.address = net, name, "127.0.0.1:0"
        self.join()

    def join(self):
        self.process = Process([LQ, "relay", self.address, self.net.server.address, "--delay-ms", "0"],
                               os.path.join(self.net.folder, self.name + ".relay.log"))
        self.address = self.process.ready

    def cut(self):
        self.process.kill()

    def stop(self):
        self.process.stop()


class Lending(SlurmNet):
    """A network with tenants and a queue."""

    def __init__(self, folder, has_relays):
        super().__init__(folder, *SERVER_FLAGS)
        self.has_relays, self.relays, self.jobs = has_relays, {}, {}
        self.clients = [self.server.user(name, ["member"], tenant=self.server.tenant(name, weight=weight))
                        for name, weight in TENANTS.items()]

    def through_relay(self, agent):
        if self.has_relays:
            relay = self.relays[agent.name] = Relay(self, agent.name)
            agent.argv[agent.argv.index("--server") + 1] = relay.address
        return agent.start()

    def fill(self, seed, device_seconds):
        """Jobs for so many device-seconds, the same for the same seed; each tenant in turn."""
        chance, number = random.Random(seed), 0
        while device_seconds > 0:
            steps = round(chance.uniform(*RUN_S) / STEP_S)
            width = 2 if chance.random() < WIDE_SHARE else 1
            spec = {"run": PROGRAM, "envs": {"LAST": str(steps), "EVERY": str(STEPS_PER_CHECKPOINT), "STEP_S": str(STEP_S)},
                    "resources": {"cpus": 1, "memory": "64MiB", "scratch": "16MiB", "accelerators": f"A100 80GB SXM:{width}"},
                    "checkpoint": {"dir": "ckpt", "signal": "USR1", "grace": "3s", "every": "10s"},
                    "priority": "surplus", "expected": f"{round(steps * STEP_S)}s"}
            job = self.submit(spec.pop("run"), name=f"train-{number}", client=self.clients[number % len(self.clients)], **spec)
            self.jobs[job] = {"steps": steps, "width": width}
            device_seconds -= steps * STEP_S * width
            number += 1

    def cancel_rest(self):
        """Cancels what has not ended; how many jobs that was."""
        rest = [job["id"] for job in self.everything("/v1/jobs") if job["state"] not in ("succeeded", "failed", "cancelled")]
        for job in rest:
            self.admin.post(f"/v1/jobs/{job}:cancel")
        return len(rest)

    def wait_ended(self, seconds):
        self.wait(lambda: all(job["state"] in ("succeeded", "failed", "cancelled") for job in self.everything("/v1/jobs")),
                  seconds, lambda: "every job's end: " + str([(job["id"], job["state"]) for job in self.everything("/v1/jobs")
                                                             if job["state"] not in ("succeeded", "failed", "cancelled")]))

    def stop(self):
        try:
            super().stop()
        finally:
            for relay in self.relays.values():
                relay.process.kill()


def now_text(seconds):
    return time.strftime("%M:%S", time.gmtime(max(0, seconds)))
