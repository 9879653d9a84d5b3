"""Fixtures of the tests with real Slurm clusters: those of the scenarios, and clusters that pools join."""

import importlib.util
import os
import shutil
import sys
import tempfile

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCENARIO = os.path.join(ROOT, "tests", "scenario")
sys.path.insert(0, SCENARIO)
os.environ.setdefault("LQ", os.path.join(ROOT, "build", "gcc", "src", "cli", "lq"))


def scenario_conftest():
    """The scenarios' conftest under the name by which their modules know it; this one has the same name."""
    own = sys.modules.pop("conftest", None)
    spec = importlib.util.spec_from_file_location("conftest", os.path.join(SCENARIO, "conftest.py"))
    theirs = sys.modules["conftest"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    import lingqu  # noqa: F401
    if own is not None:
        sys.modules["conftest"] = own
    return theirs


folder = scenario_conftest().folder

from cluster import ACCOUNT, Cluster, free_ports, missing  # noqa: E402
from lingqu import Net  # noqa: E402

CATALOGUE = os.path.join(ROOT, "data/domain", "accelerators.csv")
SUPERVISE = os.path.join(os.path.dirname(os.path.dirname(os.environ["LQ"])), "supervise", "lq-supervise")


class SlurmNet(Net):
    """A network whose sites are Slurm clusters (or hosts, as ever)."""

    def __init__(self, folder):
        super().__init__(folder, "--catalogue", CATALOGUE)
        self.clusters = []

    def about(self, job):
        """What the clusters say, too."""
        rows = [(cluster.name, row["job_id"], row["job_state"], row["state_reason"], row["nodes"])
                for cluster in self.clusters for row in cluster.jobs() if row["job_state"] != "COMPLETED"]
        logs = [agent.process.text()[-1500:] for agent in self.agents.values() if agent.process is not None]
        return (*super().about(job), rows, logs)

    def slurm_site(self, cluster, *flags, ask="0.10", start=True, **more):
        self.clusters.append(cluster)
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
        agent = self.site(cluster.name, nodes=(), ask=ask, start=False,
                          flags=("--slurm", file, "--catalogue", CATALOGUE, "--ask", "A100 80GB SXM=1.00", *flags))
        agent.argv.remove("--ignore-foreign-load")
        agent.work = os.path.join(work, "attempts")
        return agent.start() if start else agent


@pytest.fixture(scope="session")
def clusters():
    """clusters(name, ...): a cluster that lives as long as the tests do."""
    why = missing()
    if why is not None:
        pytest.skip(why)
    top = tempfile.mkdtemp(prefix="lq-slurm-")
    os.chmod(top, 0o755)
    made = {}

    def make(name, **more):
        if name not in made:
            folder = os.path.join(top, name)
            os.mkdir(folder)
            made[name] = Cluster(folder, name, **more)
            made[name].start()
        return made[name]

    yield make
    for cluster in made.values():
        cluster.stop()
    shutil.rmtree(top, ignore_errors=True)


@pytest.fixture
def net(folder):
    net = SlurmNet(folder)
    yield net
    net.stop()
