"""The sbatch door: scripts as they are, and commands that speak Slurm."""

import os
import subprocess

import pytest

from conftest import LQ, ROOT
from door import ACCOUNT, Door
from lingqu import living_net

pytestmark = pytest.mark.quick


@pytest.fixture(scope="module")
def door():
    with living_net() as net:
        yield Door(net)


@pytest.fixture(scope="module")
def plain():
    """Nobody shares a folder."""
    with living_net() as net:
        yield Door(net, shares=False)


def lq(door, *argv, **more):
    return door.run(door.program, *argv, **more)


def test_an_array_runs_with_what_slurm_would_set_and_its_files_are_named_by_the_patterns(door):
    door.write("array.sh", """#!/bin/sh
# comments before

#SBATCH --array=1-7:3%2 -n2    # and behind
#SBATCH -J "two words" --mem-per-cpu 64 -t 5
#SBATCH --output=out-%A_%a-%j-%3a-%u-%N-%%.txt
echo "$SLURM_ARRAY_JOB_ID $SLURM_ARRAY_TASK_ID $SLURM_JOB_ID $SLURM_ARRAY_TASK_MIN-$SLURM_ARRAY_TASK_MAX"
echo "$SLURM_JOB_NAME|$SLURM_NTASKS|$SLURM_CPUS_ON_NODE|$SLURM_MEM_PER_CPU|$SLURM_SUBMIT_DIR|$PWD|$SLURM_PROCID"
srun -n 2 sh -c 'echo task $SLURM_PROCID' | sort
#SBATCH --array=1-100
echo "$#:$1" >&2
""")
    first = door.sbatch("array.sh", "an argument")
    door.wait(first)
    for index, task in enumerate((1, 4, 7)):
        assert door.read(f"out-{first}_{task}-{first + index}-00{task}-{ACCOUNT}-n0-%.txt").splitlines() == [
            f"{first} {task} {first + index} 1-7",
            f"two words|2|2|64|{door.folder}|{door.folder}|0", "task 0", "task 1", "1:an argument"]
    assert door.say("squeue", "-h", "-t", "all", "-j", str(first), "-o", "%i %j %t").splitlines() == [
        f"{first}_{task} two words CD" for task in (1, 4, 7)]


def test_an_exit_code_arrives_everywhere(door):
    number = door.sbatch("--wrap", "exit 3")
    door.wait(number, "FAILED")
    assert door.say("sacct", "-n", "-P", "-j", str(number), "--format=JobIdRaw,State,ExitCode") == \
        f"{number}|FAILED|3:0\n"
    shown = door.say("scontrol", "show", "job", str(number))
    assert "JobState=FAILED " in shown and "ExitCode=3:0" in shown and shown.startswith(f"JobId={number} ")
    assert door.run("sbatch", "--wait", "--wrap", "exit 7").returncode == 7


def test_a_cancelled_job_is_gone(door):
    number = door.sbatch("--wrap", "sleep 1000")
    door.net.wait(lambda: door.say("squeue", "-h", "-j", str(number), "-o", "%t").strip() == "R", what="it running")
    assert door.say("squeue", "-h", "--format", "%i %t").strip() == f"{number} R"
    door.say("scancel", str(number))
    door.wait(number, "CANCELLED")
    assert door.say("squeue", "-h") == ""
    door.say("scancel", str(number))  # as Slurm: no word about what has ended


def test_a_dependency_is_waited_for(door):
    first = door.sbatch("--wrap", "echo one >>order.txt")
    second = door.sbatch("--dependency", f"afterok:{first}", "--wrap", "echo two >>order.txt")
    door.wait(second)
    assert door.read("order.txt") == "one\ntwo\n"
    failed = door.sbatch("--wrap", "exit 1")
    refused = door.run("sbatch", "-d", f"afterok:{failed}", "--wrap", "true")
    assert refused.returncode == 1 and "can never be met" in refused.stderr
    assert "there is no job 999999" in door.run("sbatch", "-d", "afterany:999999", "--wrap", "true").stderr


def test_what_is_exported_is_what_was_asked_for(door):
    script = "echo \"$ONE|$TWO|$LQ_TOKEN|$HOME\" >env.txt"
    for export, seen in (("ALL", "1|2||/job"), ("NONE", "|||/job"), ("TWO", "|2||/job"), ("ONE='a,b',TWO", "a,b|2||/job")):
        door.wait(door.sbatch(f"--export={export}", "--wrap", script, ONE="1", TWO="2"))
        assert door.read("env.txt") == seen + "\n"


def test_errors_and_exit_codes_are_those_of_slurm(door):
    door.write("bad.sh", "#!/bin/sh\n\n#SBATCH -J fine\n#SBATCH --mem=lots\n")
    door.write("hold.sh", "#!/bin/sh\n#SBATCH --begin=noon\n")
    door.write("name.sh", "#!/bin/sh\n#SBATCH -J -x\n")
    for argv, code, words in (
            (("sbatch", "bad.sh"), 255, "sbatch: error: bad.sh: line 4: Invalid --mem specification"),
            (("sbatch", "hold.sh"), 255, "hold.sh: line 2: --begin is refused: "),
            (("sbatch", "name.sh"), 255, "name.sh: line 2: Invalid --job-name specification"),
            (("sbatch", "-J", "two\nlines", "--wrap", "true"), 255, "a line break"),
            (("sbatch", "--nothing"), 255, "unrecognized option '--nothing'"),
            (("sbatch", "none.sh"), 1, "sbatch: error: Unable to open file none.sh"),
            (("sbatch", "-p", "nowhere", "--wrap", "true"), 255, "neither a site nor a region"),
            (("sbatch", "-A", "nobodys", "--wrap", "true"), 1, "Invalid account"),
            (("squeue", "-j", "999999"), 1, "slurm_load_jobs error: Invalid job id specified"),
            (("scontrol", "show", "job", "999999"), 1, "slurm_load_jobs error: Invalid job id specified"),
            (("scancel", "x"), 1, "scancel: error: Invalid job id x"),
            (("scancel",), 1, "scancel: error: No job identification provided"),
            (("squeue", "-Z"), 1, "Try \"squeue --help\""),
            (("srun", "true"), 1, "srun: error: Unable to allocate resources")):
        done = door.run(*argv)
        assert done.returncode == code and words in done.stderr, (argv, done)
    assert door.say("sacct", "-nj", "999999") == ""


def test_what_the_cluster_is_can_be_asked(door):
    assert door.say("sinfo", "-o", "%P").split() == ["PARTITION", "any*", "alpha"]
    assert door.say("sinfo", "-a", "-h", "-o", "%P %G %l %p %c %m").splitlines() == [
        "any* (null) infinite 1 4 4096", "alpha (null) infinite 1 4 4096"]
    assert "root" in door.say("sacctmgr", "-n", "-s", "list", "user", ACCOUNT, "format=account%20").split()
    assert door.say("sbatch", "--version").startswith("slurm ")
    assert "would use 1 processors in partition alpha" in door.say("sbatch", "--test-only", "--wrap", "true")


def test_lq_submit_takes_a_script_as_it_is(door):
    door.write("plain.sh", "#!/bin/sh\n#SBATCH -o plain.txt --mail-type=END\necho here: $1\n")
    done = lq(door, "submit", "plain.sh", "-y", "one")
    assert done.returncode == 0 and "--mail-type has no effect" in done.stderr, done
    job = door.net.wait_job(done.stdout.strip(), "succeeded")
    assert job["name"] == "plain.sh" and job["spec"]["shared_folders"] == [door.folder]
    assert door.read("plain.txt") == "here: one\n"
    done = lq(door, "submit", "bad.sh", "-y")
    assert done.returncode == 2 and "bad.sh: line 4" in done.stderr, done


def test_without_a_shared_folder_a_script_runs_in_an_empty_one_or_in_a_copy(plain):
    plain.write("where.sh", "#!/bin/sh\n#SBATCH --output=x.txt\npwd; ls; cat input\n")
    plain.write("input", "from here\n")
    done = lq(plain, "submit", "where.sh", "-y")
    assert done.returncode == 0 and "starts in an empty one" in done.stderr, done
    job = done.stdout.strip()
    plain.net.wait_job(job, "failed")
    assert plain.net.wait_log(job, "input").startswith("/job\n")
    done = lq(plain, "submit", "where.sh", "-y", "--chdir", ".")
    job = done.stdout.strip()
    plain.net.wait_job(job, "succeeded")
    plain.net.wait_log(job, "from here")


def test_a_folder_that_is_not_shared_is_refused(plain):
    answer = plain.net.admin.post("/v1/jobs", {"name": "x", "run": "true", "shared_folders": ["/srv/data"]})
    assert answer.status == 422 and "no site shares the folder" in answer.json()["detail"], answer
    answer = plain.net.admin.post("/v1/jobs", {"name": "x", "run": "true", "shared_folders": ["/etc/ssh"]})
    assert answer.status == 400 and "nothing below /etc" in answer.json()["detail"], answer


def test_another_tenant_is_not_shared_with(door):
    door.net.server.tenant("others")
    answer = door.net.admin.post("/v1/jobs?tenant=others",
                                 {"name": "x", "run": "true", "shared_folders": [door.folder]})
    assert answer.status == 422 and "no site shares the folder" in answer.json()["detail"], answer


def test_the_docs_list_every_option():
    said = subprocess.run([LQ, "slurm-shim", "--help"], capture_output=True, text=True, check=True)
    assert "sbatch.md" in said.stdout
    with open(os.path.join(ROOT, "src", "wire", "sbatch_options.c"), encoding="utf-8") as file:
        rows = [line.strip() for line in file if line.startswith('    {"')]
    with open(os.path.join(ROOT, "docs", "formats", "sbatch.md"), encoding="utf-8") as file:
        text = file.read()
    for row in rows:
        name, treatment = row.split('"')[1], row.split("SBATCH_")[1].split(",")[0]
        section = {"HONOURED": "Honoured", "MAPPED": "Mapped", "NO_EFFECT": "Without effect", "REFUSED": "Refused"}
        part = text.split(f"### {section[treatment]}")[1].split("\n##")[0]
        assert f"`--{name}`" in part, f"--{name} is not under {section[treatment]}"
