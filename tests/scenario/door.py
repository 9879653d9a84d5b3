"""A person beside a site that shares a folder: `lq submit job.sh`, and the commands of `lq slurm-shim`."""

import json
import os
import pwd
import shutil
import subprocess

from conftest import LQ

# The account that owns the shared folder, and so what work in it runs as: on every machine, never root.
ACCOUNT = "nobody"


class Door:
    def __init__(self, net, shares=True, cpus=4, flags=()):
        self.net = net
        os.chmod(net.folder, 0o755)
        self.folder = os.path.join(net.folder, "shared")
        self.shim = os.path.join(net.folder, "shim")
        self.home = os.path.join(self.folder, "home")
        os.makedirs(self.home)
        self.tenant = next(t["id"] for t in net.admin.get("/v1/tenants").json()["items"] if t["name"] == "root")
        with open(net.server.ca, encoding="ascii") as file:
            config = {"server": net.server.address, "ca": file.read(), "token": net.server.admin_token}
        self.write("home/config.yaml", json.dumps(config))
        self.as_account = []
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            for path in (self.folder, self.home):
                os.chown(path, account.pw_uid, account.pw_gid)
            self.as_account = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
            self.program = os.path.join(net.folder, "lq")  # one that the account can reach, wherever it was built
            shutil.copy(LQ, self.program)
            os.chmod(self.program, 0o755)
        else:
            self.program = LQ
        grant = ("--shared", f"{self.tenant}={self.folder}") if shares else ()
        net.site("alpha", nodes=(f"n0:cpus={cpus},mem=4GiB",), flags=(*grant, *flags))
        self.env = {"LQ_HOME": self.home, "HOME": self.home, "USER": ACCOUNT, "LANG": "C.UTF-8",
                    "PATH": f"{self.shim}:/usr/bin:/bin"}
        self.env |= {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
        assert self.run(self.program, "slurm-shim", self.shim, as_root=True).returncode == 0

    def write(self, name, text, mode=0o644):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        if os.geteuid() == 0:
            account = pwd.getpwnam(ACCOUNT)
            os.chown(path, account.pw_uid, account.pw_gid)
        return path

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()

    def run(self, *argv, as_root=False, seconds=60, cwd=None, **env):
        return subprocess.run([*([] if as_root else self.as_account), *argv], env={**self.env, **env},
                              cwd=cwd or self.folder, capture_output=True, text=True, timeout=seconds, check=False)

    def say(self, *argv, **more):
        """Standard output of a command that must succeed."""
        done = self.run(*argv, **more)
        assert done.returncode == 0, (argv, done)
        return done.stdout

    def sbatch(self, *argv, **more):
        """The job's number."""
        return int(self.say("sbatch", "--parsable", *argv, **more))

    def state(self, number):
        return self.say("sacct", "-nPj", str(number), "-o", "State").split()

    def wait(self, number, state="COMPLETED", seconds=40):
        self.net.wait(lambda: set(self.state(number)) == {state}, seconds,
                      lambda: f"{number} {state}: {self.say('sacct', '-j', str(number))}")
