"""The benchmark of lending, for its zeros; what it measures besides depends on what else the machine does."""

import json
import os
import subprocess

import pytest
from living import LQ, ROOT


def lend(*flags):
    done = subprocess.run([os.path.join(ROOT, "bench", "surplus"), "--json", "--short", *flags], env={**os.environ, "LQ": LQ},
                          capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("flags", [(), ("--chaos", "--seed", "3")])
def test_owners_get_their_machines_back_and_no_pool_work_is_lost_or_runs_twice(clusters, flags):
    del clusters  # only that Slurm is here
    found = lend(*flags)
    assert (found["reclaim_breaches"], found["lost"], found["double_runs"]) == (0, 0, 0), found
    assert found["reclaims"] > 0 and found["util_after_pct"] > 2 * found["util_before_pct"], found
    assert found["more"]["owners_not_started"] == 0, found


def test_where_slurm_is_missing_there_is_one_clear_sentence(folder):
    for name in ("python3", "env"):
        os.symlink(f"/usr/bin/{name}", os.path.join(folder, name))
    done = subprocess.run([os.path.join(ROOT, "bench", "surplus"), "--json"], env={"PATH": folder, "LQ": LQ},
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and not done.stdout
    assert done.stderr.startswith("bench/surplus: Slurm cannot run here: not installed: munged") and "tools/setup --slurm" in done.stderr
    assert len(done.stderr.splitlines()) == 1
