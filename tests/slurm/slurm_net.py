"""A network whose sites are Slurm clusters, for tests and for bench/surplus.

Needs tests/scenario on the module path; LQ names the binary."""

import os
import shutil

from cluster import ACCOUNT, free_ports
from lingqu import Net
from living import LQ, ROOT

CATALOGUE = os.path.join(ROOT, "data/domain", "accelerators.csv")
SUPERVISE = os.path.join(os.path.dirname(os.path.dirname(LQ)), "supervise", "lq-supervise")


class SlurmNet(Net):
    """A network whose sites are Slurm clusters (or hosts, as ever)."""

    def __init__(self, folder, *flags):
        super().__init__(folder, "--catalogue", CATALOGUE, *flags)
        self.clusters, self.catalogue = [], CATALOGUE

    def about(self, job):
        """What the clusters say, too."""
        rows = [(cluster.name, row["job_id"], row["job_state"], row["state_reason"], row["nodes"])
                for cluster in self.clusters for row in cluster.jobs() if row["job_state"] != "COMPLETED"]
        logs = [agent.process.text()[-1500:] for agent in self.agents.values() if agent.process is not None]
        return (*super().about(job), rows, logs)

    def slurm_file(self, cluster, **more):
        """The site's file, written once; its path."""
        home = os.path.join(cluster.folder, "pool-" + os.path.basename(self.folder))
        work, file = os.path.join(home, "work"), os.path.join(home, "slurm.yaml")
        if not os.path.exists(home):
            os.makedirs(work)
            os.chmod(work, 0o711)
            supervise = os.path.join(home, "lq-supervise")
            shutil.copy(SUPERVISE, supervise)
            os.chmod(supervise, 0o755)
            settings = {"conf": cluster.conf, "partitions": "[surplus]", "work": work, "supervise": supervise,
                        "gate": f"127.0.0.1:{free_ports(1)}", "run_as": ACCOUNT,
                        "gres": '{"gpu:a100": "A100 80GB SXM"}', **more}
            with open(file, "w", encoding="utf-8") as out:
                out.writelines(f"{key}: {value}\n" for key, value in settings.items())
        return file

    def slurm_site(self, cluster, *flags, ask="0.10", start=True, **more):
        self.clusters.append(cluster)
        file = self.slurm_file(cluster, **more)
        agent = self.site(cluster.name, nodes=(), ask=ask, start=False,
                          flags=("--slurm", file, "--catalogue", CATALOGUE, "--ask", "A100 80GB SXM=1.00", *flags))
        agent.argv.remove("--ignore-foreign-load")
        agent.work = os.path.join(os.path.dirname(file), "work", "attempts")
        return agent.start() if start else agent
