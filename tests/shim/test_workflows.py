"""snakemake and toil, as Debian has them, run workflows over the pool through the commands of lq slurm-shim."""

import os
import shutil

import pytest

from door import Door
from lingqu import living_net

CLIENT_S = 300  # snakemake looks at its jobs twice a minute, and nothing makes it look more often

SNAKEFILE = """
rule all:
    input: "sum.txt"
rule part:
    output: "part-{n}.txt"
    threads: 2
    resources: mem_mb=300, runtime=5
    shell: "echo $(( {wildcards.n} * {wildcards.n} )) $SLURM_JOB_ID $SLURM_CPUS_PER_TASK > {output}"
rule total:
    input: expand("part-{n}.txt", n=[2, 3])
    output: "sum.txt"
    resources: mem_mb=300
    shell: "awk '{{s += $1}} END {{print s}}' {input} > {output}"
"""

FAILING = """
rule all:
    output: "never.txt"
    resources: mem_mb=300
    shell: "echo it went wrong; exit 3"
"""

WORKFLOW = """
from toil.common import Toil
from toil.job import Job

SIZE = {"memory": "200M", "cores": 1, "disk": "10M"}

def square(job, number):
    return number * number

def total(job, squares):
    return sum(squares)

def root(job):
    squares = [job.addChildJobFn(square, number, **SIZE).rv() for number in (1, 2, 3)]
    return job.addFollowOnJobFn(total, squares, **SIZE).rv()

if __name__ == "__main__":
    options = Job.Runner.getDefaultArgumentParser().parse_args()
    with Toil(options) as toil:
        print("the sum is", toil.start(Job.wrapJobFn(root, **SIZE)))
"""


@pytest.fixture
def door():
    with living_net() as net:
        yield Door(net)


def need(program):
    if shutil.which(program, path="/usr/bin") is None:
        pytest.skip(f"{program} is not installed (tools/setup --shim)")


@pytest.mark.timeout(CLIENT_S)
def test_snakemake_runs_a_workflow(door):
    need("snakemake")
    door.write("Snakefile", SNAKEFILE)
    done = door.run("snakemake", "--slurm", "-j", "4", "--latency-wait", "20", seconds=CLIENT_S)
    assert done.returncode == 0, done
    assert door.read("sum.txt") == "13\n"
    for number in (2, 3):
        square, job, cpus = door.read(f"part-{number}.txt").split()
        assert (int(square), cpus) == (number * number, "2") and door.state(job) == ["COMPLETED"]
    assert len(door.say("sacct", "-nP").splitlines()) == 3


@pytest.mark.timeout(CLIENT_S)
def test_snakemake_is_told_of_a_job_that_fails(door):
    need("snakemake")
    door.write("Snakefile", FAILING)
    done = door.run("snakemake", "--slurm", "-j", "1", seconds=CLIENT_S)
    assert done.returncode == 1 and "SLURM status is: 'FAILED'" in done.stderr, done
    assert "it went wrong" in door.read(".snakemake/slurm_logs/rule_all/1.log")


@pytest.mark.timeout(CLIENT_S)
def test_toil_runs_a_workflow(door):
    need("toil")
    door.write("workflow.py", WORKFLOW)
    work = os.path.join(door.folder, "home")
    done = door.run("/usr/bin/python3", "workflow.py", f"file:{door.folder}/store", "--batchSystem", "slurm", "--workDir", work,
                    "--coordinationDir", "/tmp", "--disableCaching", "--statePollingWait", "1", "--defaultMemory", "200M",
                    "--defaultDisk", "10M", seconds=CLIENT_S)
    assert done.returncode == 0 and "the sum is 14" in done.stdout, done
    assert len(door.say("sacct", "-nP", "-s", "COMPLETED").splitlines()) == 5
