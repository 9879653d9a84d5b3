"""Fixtures of the tests with real Slurm clusters: those of the scenarios, and clusters that pools join."""

import os
import shutil
import sys
import tempfile

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "scenario"))

from cluster import Cluster, missing  # noqa: E402
from slurm_net import SlurmNet  # noqa: E402


@pytest.fixture
def folder():
    """Short, for unix sockets' paths are."""
    path = tempfile.mkdtemp(prefix="lq-")
    yield path
    shutil.rmtree(path, ignore_errors=True)


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
