"""Real Slurm clusters on one machine, for tests: munged, slurmctld and a slurmd a node, each a child of this
process that is ended by its id. Nothing is kept outside the cluster's folder but control groups.

A cluster has two partitions over the same nodes: `owner`, which comes first, and `surplus`, whose jobs yield to it.
"""

import contextlib
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

READY_S = 60
END_S = 30
SCHEDULER = "bf_interval=2,sched_interval=2"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel", "scontrol")
FREEZER = "/sys/fs/cgroup/freezer"
# The account that attempts run as: on every machine, and never root.
ACCOUNT = "nobody"

CONF = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=slurm
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/run/slurmctld.pid
SlurmdPidFile={folder}/run/%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
SlurmdParameters=config_overrides
ReturnToService=2
SwitchType=switch/none
MpiDefault=none
ProctrackType={proctrack}
TaskPlugin={task}
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={folder}/log/jobcomp.txt
SchedulerType=sched/backfill
SchedulerParameters={scheduler}
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
PreemptType={preempt}
PreemptMode={mode}
JobRequeue=1
KillWait={kill_wait}
MinJobAge={min_job_age}
SlurmctldTimeout={timeout_s}
SlurmdTimeout={timeout_s}
InactiveLimit=0
GresTypes=gpu
DefMemPerCPU=64
"""


def missing():
    """What Slurm lacks here, in words; None: nothing."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        return "not installed: " + ", ".join(lacking)
    if os.geteuid() != 0:
        return "slurmd and munged with accounts of their own need root"
    return None


def has_cgroups():
    """Slurm's own control groups: version 1 with a freezer that can be written."""
    return os.access(FREEZER, os.W_OK)


def free_ports(count):
    """So many TCP ports in a row that nobody listens on just now."""
    for first in range(26000 + os.getpid() % 2000, 32000, count):
        with contextlib.ExitStack() as held:
            try:
                for port in range(first, first + count):
                    listener = held.enter_context(socket.socket())
                    listener.bind(("127.0.0.1", port))
                return first
            except OSError:
                continue
    raise RuntimeError("no free ports")


class Cluster:
    def __init__(self, folder, name, nodes=2, gpu="a100", gpus=4, kill_wait=5, min_job_age=300,
                 scheduler=SCHEDULER, yields=True, groups=True, cpus=8, memory_mib=4096, timeout_s=30):
        self.folder, self.name = folder, name
        self.tag = f"{name}-{os.getpid()}"  # control groups of two runs must not meet
        self.nodes = [f"{self.tag}-n{number}" for number in range(1, nodes + 1)]
        self.conf = os.path.join(folder, "slurm.conf")
        self.port = free_ports(nodes + 1)
        self.yields = yields  # Slurm itself takes the pool's jobs off for the owner
        self.has_groups = groups and has_cgroups()  # else Slurm's signals reach every process of a job
        self.daemons = {}
        self._write(gpu, gpus, kill_wait, min_job_age, scheduler, cpus, memory_mib, timeout_s)

    # ---- files

    def _write(self, gpu, gpus, kill_wait, min_job_age, scheduler, cpus, memory_mib, timeout_s):
        slurm, munge = pwd.getpwnam("slurm"), pwd.getpwnam("munge")
        for name, owner in (("state", slurm), ("log", slurm), ("run", slurm), ("munge", munge), ("dev", None)):
            path = os.path.join(self.folder, name)
            os.makedirs(path)
            if owner is not None:
                os.chown(path, owner.pw_uid, owner.pw_gid)
        os.chmod(self.folder, 0o755)
        key = os.path.join(self.folder, "munge", "key")
        with open(key, "wb") as file:
            file.write(os.urandom(128))
        os.chown(key, munge.pw_uid, munge.pw_gid)
        os.chmod(key, 0o600)
        host, groups = socket.gethostname().split(".")[0], self.has_groups
        text = CONF.format(name=self.tag, host=host, port=self.port, folder=self.folder, kill_wait=kill_wait,
                           min_job_age=min_job_age, timeout_s=timeout_s, scheduler=scheduler, proctrack="proctrack/cgroup" if groups else "proctrack/linuxproc",
                           task="task/cgroup" if groups else "task/none",
                           preempt="preempt/partition_prio" if self.yields else "preempt/none",
                           mode="REQUEUE" if self.yields else "OFF")
        for number, node in enumerate(self.nodes, 1):
            os.makedirs(os.path.join(self.folder, "spool", node))
            text += (f"NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={self.port + number} CPUs={cpus} Sockets=1 "
                     f"CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory_mib} Gres=gpu:{gpu}:{gpus} State=UNKNOWN\n")
        mode = "PreemptMode=REQUEUE GraceTime=0" if self.yields else ""
        text += ("PartitionName=owner Nodes=ALL Default=YES PriorityTier=10 PreemptMode=OFF MaxTime=INFINITE State=UP\n"
                 f"PartitionName=surplus Nodes=ALL PriorityTier=1 {mode} MaxTime=INFINITE State=UP\n")
        for number in range(gpus):  # a count without device files makes a node invalid; these are clones of /dev/null
            os.mknod(os.path.join(self.folder, "dev", f"{gpu}-{number}"), 0o20666, os.makedev(1, 3))
        files = {
            "slurm.conf": text,
            "gres.conf": "".join(f"NodeName={node} Name=gpu Type={gpu} File={self.folder}/dev/{gpu}-[0-{gpus - 1}]\n"
                                 for node in self.nodes),
            "cgroup.conf": "CgroupAutomount=no\nCgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\n"
                           "ConstrainRAMSpace=yes\n" if groups else "CgroupAutomount=no\n",
        }
        for name, content in files.items():
            with open(os.path.join(self.folder, name), "w", encoding="ascii") as file:
                file.write(content)

    # ---- daemons

    @property
    def env(self):
        return {**os.environ, "SLURM_CONF": self.conf}

    def _daemon(self, name, argv):
        with open(os.path.join(self.folder, "log", name + ".out"), "ab") as out:
            self.daemons[name] = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=self.env)

    def start(self):
        munge = os.path.join(self.folder, "munge")
        self._daemon("munged", [
            "setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", "munged", "--foreground", "--force",
            f"--socket={munge}/socket", f"--key-file={munge}/key", f"--pid-file={munge}/pid",
            f"--log-file={munge}/log", f"--seed-file={munge}/seed", "--num-threads=2"])
        os.chmod(munge, 0o755)
        self.wait(lambda: os.path.exists(f"{munge}/socket"), READY_S, "munged")
        self.start_controller()
        for node in self.nodes:
            self.start_node(node)
        self.wait(self.is_idle, READY_S, "idle nodes")
        return self

    def start_controller(self):
        self._daemon("slurmctld", ["slurmctld", "-D", "-f", self.conf])

    def start_node(self, node):
        self._daemon(node, ["slurmd", "-D", "-N", node, "-f", self.conf])

    def end(self, name, how=signal.SIGTERM):
        daemon = self.daemons.pop(name)
        if daemon.poll() is None:
            daemon.send_signal(how)
        try:
            daemon.wait(END_S)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def stop(self):
        with contextlib.suppress(RuntimeError, subprocess.TimeoutExpired):
            if "slurmctld" in self.daemons:
                for job in self.jobs():
                    if job["job_state"] in ("RUNNING", "PENDING", "SUSPENDED"):
                        self.run("scancel", str(job["job_id"]))
                self.wait(lambda: all(job["job_state"] != "COMPLETING" for job in self.jobs()), END_S, "the last job")
        for name in [*reversed(list(self.daemons))]:
            self.end(name)
        for group in ("freezer", "memory", "cpuset", "devices", "cpuacct"):
            for node in self.nodes:
                top = f"/sys/fs/cgroup/{group}/slurm_{node}"
                for path, _, _ in os.walk(top, topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(path)

    # ---- asking

    def wait(self, condition, seconds, what):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        raise RuntimeError(f"{self.name}: {what} did not come about in {seconds} s: {self.log()}")

    def log(self):
        with open(os.path.join(self.folder, "log", "slurmctld.log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-3000:]

    def run(self, *argv, check=True):
        done = subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=60, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f"{argv}: {done.stderr}")
        return done.stdout.strip()

    def states(self):
        return {node["name"]: (node["state"], node["state_flags"]) for node in json.loads(self.run("sinfo", "--json"))["nodes"]}

    def is_idle(self):
        try:
            states = self.states()
        except RuntimeError:
            return False
        return len(states) == len(self.nodes) and all(state == ("idle", []) for state in states.values())

    def jobs(self, name=None):
        jobs = json.loads(self.run("squeue", "--json"))["jobs"]
        return [job for job in jobs if name is None or job["name"] == name]

    def wait_job(self, name, *states, seconds=40):
        def look():
            jobs = [job for job in self.jobs(name) if job["job_state"] in states]
            return jobs[-1] if jobs else None
        return self.wait(look, seconds, f"{name} {states}")

    def owner(self, script, *flags, name="owners"):
        """A job of the cluster's owner; its number."""
        return self.run("sbatch", "--parsable", "--partition=owner", f"--job-name={name}", "--output=/dev/null",
                        *flags, "--wrap", script)
