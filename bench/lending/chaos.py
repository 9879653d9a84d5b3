"""What goes wrong during a run, at random moments from the seed: a controller of Slurm's is killed, an agent is
killed, the line between an agent and the server is cut. Each comes back after some seconds."""

import contextlib
import os
import random
import signal
import sys
import threading
import time

EVERY_S = (6.0, 12.0)
AWAY_S = (1.0, 6.0)
GHOST_S = 3.0
CALM_S = 12.0  # before the end, nothing new goes wrong


class Chaos(threading.Thread):
    def __init__(self, net, clusters, seed, seconds, owners_folder):
        super().__init__(daemon=True)
        self.net, self.clusters, self.chance = net, clusters, random.Random(seed)
        self.owners_folder = owners_folder
        self.left_s, self.counts, self.failures = seconds - CALM_S, {}, []
        self.over = threading.Event()

    def pause(self, bounds):
        seconds = self.chance.uniform(*bounds)
        self.left_s -= seconds
        return self.over.wait(seconds)

    def strike(self):
        what = self.chance.choice(["slurmctld", "agent", "link"])
        self.counts[what] = self.counts.get(what, 0) + 1
        if what == "slurmctld":
            cluster = self.chance.choice(self.clusters)
            cluster.end("slurmctld", signal.SIGKILL)
            self.pause(AWAY_S)
            cluster.start_controller()
            return
        name = self.chance.choice(sorted(self.net.agents))
        if what == "agent":
            self.net.agents[name].kill()
            self.pause(AWAY_S)
            self.net.agents[name].start()
        else:
            self.net.relays[name].cut()
            self.pause(AWAY_S)
            self.net.relays[name].join()

    def resume_nodes(self):
        """As an administrator would: Slurm drains a node for a job that a killed controller starts a second time."""
        for cluster in self.clusters:
            with contextlib.suppress(RuntimeError):
                for node, (_, flags) in cluster.states().items():
                    if "DRAIN" in flags:
                        cluster.run("scontrol", "update", f"nodename={node}", "state=resume")
                self.end_ghosts(cluster)

    def end_ghosts(self, cluster):
        """Owners cancel what is over and still runs in Slurm's books: its end was not saved before the kill."""
        for job in cluster.jobs():
            path = os.path.join(self.owners_folder, job["name"].removeprefix("own-") + ".end")
            if job["job_state"] == "RUNNING" and os.path.exists(path) and os.path.getmtime(path) < time.time() - GHOST_S:
                cluster.run("scancel", str(job["job_id"]), check=False)

    def run(self):
        while self.left_s > 0 and not self.pause(EVERY_S):
            try:
                self.strike()
                self.resume_nodes()
            except (RuntimeError, OSError) as error:
                self.failures.append(str(error))
                print(f"bench/surplus: chaos: {error}", file=sys.stderr)

    def stop(self):
        self.over.set()
        self.join()
        self.resume_nodes()
