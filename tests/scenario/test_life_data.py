"""What jobs read and leave: datasets, mounted folders, and the checkpoints and outputs of every rank of a gang."""

import os
import subprocess

import pytest
from lingqu import Net, living_net


@pytest.fixture(scope="module")
def net():
    with living_net() as net:
        net.site("alpha", nodes=[f"n{i}:cpus=2,mem=1GiB" for i in range(3)])
        yield net


def lq(net, *argv, code=0):
    """The command line as the administrator; its standard output."""
    token = os.path.join(net.folder, "cli.token")
    if not os.path.exists(token):
        with open(token, "w", encoding="utf-8") as file:
            file.write(net.server.admin_token)
    done = subprocess.run(
        [os.environ["LQ"], *argv], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "LQ_HOME": os.path.join(net.folder, "home"), "LQ_SERVER": net.server.address,
             "LQ_CA": net.server.ca, "LQ_TOKEN": net.server.admin_token})
    assert done.returncode == code, (argv, done.returncode, done.stdout, done.stderr)
    return done.stdout + (done.stderr if code else "")


def make_folder(path, **files):
    os.makedirs(path)
    for name, text in files.items():
        with open(os.path.join(path, name), "w", encoding="utf-8") as file:
            file.write(text)
    return str(path)


def test_a_dataset_stands_in_the_work_folder_of_every_rank_as_it_was_at_submission(net, tmp_path):
    folder = make_folder(tmp_path / "corpus", words="one two\n")
    assert "corpus" in lq(net, "dataset", "put", "corpus", folder)
    assert "corpus" in lq(net, "dataset", "list")
    job = net.submit('cat datasets/corpus/words; echo "rank $LQ_NODE_RANK"', datasets=["corpus"], num_nodes=2)
    with open(os.path.join(folder, "words"), "w", encoding="utf-8") as file:
        file.write("three\n")
    lq(net, "dataset", "put", "corpus", folder)
    again = net.submit("cat in/put/words", file_mounts={"in/put": "corpus"})
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    for rank in (0, 1):
        assert "one two\n" in net.wait_log(job, "one two", rank=rank)
    assert net.wait_job(again)["state"] == "succeeded", net.about(again)
    assert "three\n" in net.wait_log(again, "three")
    seen = net.job(again)["spec"]["inputs"]
    assert [(one["path"], one["dataset"]) for one in seen] == [("in/put", "corpus")]


def test_a_dataset_that_was_deleted_is_still_read_by_jobs_that_named_it(net, tmp_path):
    lq(net, "dataset", "put", "gone", make_folder(tmp_path / "gone", text="still here\n"))
    job = net.submit("sleep 0.5; cat datasets/gone/text", datasets=["gone"])
    assert "forgotten" in lq(net, "dataset", "delete", "gone")
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    assert "still here" in net.wait_log(job, "still here")
    answer = net.admin.post("/v1/jobs", {"name": "late", "run": "true", "datasets": ["gone"]})
    assert answer.status == 400 and "no dataset" in answer.json()["detail"], answer


def test_a_folder_named_in_file_mounts_is_uploaded_with_the_job(net, tmp_path):
    make_folder(tmp_path / "here", note="from here\n")
    job_file = tmp_path / "job.yaml"
    job_file.write_text("name: mounted\nresources: {cpus: 0.5, memory: 64MiB}\nfile_mounts: {conf/x: ./here}\n"
                        "run: cat conf/x/note\n")
    job = lq(net, "submit", "-y", str(job_file)).strip().splitlines()[-1]
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    assert "from here" in net.wait_log(job, "from here")
    job_file.write_text("name: mounted\nfile_mounts: {conf/x: ./nowhere}\nrun: 'true'\n")
    assert "nowhere" in lq(net, "submit", "-y", str(job_file), code=2)


@pytest.mark.parametrize("spec, word", [
    ({"datasets": ["never-put"]}, "no dataset"),
    ({"file_mounts": {"a": "never-put"}}, "no dataset"),
    ({"file_mounts": {"../a": "corpus"}}, "file_mounts"),
    ({"file_mounts": {"/etc": "corpus"}}, "file_mounts"),
    ({"file_mounts": {"ckpt/x": "corpus"}, "checkpoint": {"dir": "ckpt"}}, "checkpoint's folder"),
    ({"file_mounts": {"datasets/x": "corpus"}, "datasets": ["corpus"]}, "datasets"),
    ({"inputs": [{"path": "a", "artifact": "art_01j9z3k5m8q2r4t6v8x0y2z4a6"}]}, "the server's to set"),
])
def test_mounts_that_make_no_sense_are_refused_with_their_field(net, spec, word):
    answer = net.admin.post("/v1/jobs", {"name": "bad", "run": "true", **spec})
    assert answer.status in (400, 422), answer
    assert word in answer.body.decode(), answer


def test_another_tenants_content_cannot_be_read(net, tmp_path):
    lq(net, "dataset", "put", "private", make_folder(tmp_path / "private", secret="s3cret\n"))
    artifact = net.admin.get("/v1/datasets/private").json()["artifact"]
    other = net.server.user("other", ["member"], net.server.tenant("others"))
    assert other.get("/v1/datasets/private").status == 404
    assert "private" not in [row["name"] for row in other.get("/v1/datasets").json()["items"]]
    assert other.put("/v1/datasets/stolen", {"name": "stolen", "artifact": artifact}).status == 422
    assert other.post("/v1/jobs", {"name": "x", "run": "true", "datasets": ["private"]}).status == 400
    for field in ({"file_mounts": {"here": artifact}}, {"workdir": artifact}):
        answer = other.post("/v1/jobs", {"name": "x", "run": "cat here/secret secret", **field})
        assert answer.status == 422 and artifact in answer.json()["detail"], answer


def test_a_dataset_never_leaves_its_jurisdiction(net, tmp_path):
    lq(net, "dataset", "put", "national", make_folder(tmp_path / "national", x="x"), "--jurisdiction", "XX")
    answer = net.admin.post("/v1/jobs:dry-run", {"name": "x", "run": "true", "datasets": ["national"]})
    line = [site for site in answer.json()["sites"] if site["site"] == "alpha"][0]
    assert line["filter"] == "data" and "national" in line["reason"], answer.json()
    refused = net.admin.post("/v1/jobs", {"name": "x", "run": "true", "datasets": ["national"]})
    assert refused.status in (400, 422) and "national" in refused.json()["detail"], refused


# Each rank counts in a file of its own, and says where it began.
COUNT = """
mkdir -p ckpt
n=$(cat ckpt/step-* 2>/dev/null | sort -n | tail -1); n=${n:-0}
echo "rank $LQ_NODE_RANK begins at $n on $LQ_SITE"
while [ $n -lt $LAST ]; do
  n=$((n+1)); echo $n >ckpt/new.tmp; mv ckpt/new.tmp ckpt/step-$n; rm -f ckpt/step-$((n-2)); sleep 0.2
done
echo "rank $LQ_NODE_RANK done" >result-$LQ_NODE_RANK
"""


def test_every_rank_of_a_gang_goes_on_from_its_own_checkpoint_and_keeps_its_outputs(folder):
    net = Net(folder)
    try:
        for name, ask in (("alpha", "0.01"), ("beta", "0.50")):
            net.site(name, ask=ask, nodes=[f"n{i}:cpus=1,mem=512MiB" for i in range(3)])
        job = net.submit(COUNT, name="gang", num_nodes=3, envs={"LAST": "60"}, contact="lease",
                         outputs=[f"result-{rank}" for rank in range(3)], checkpoint={"dir": "ckpt", "every": "1s"})
        net.wait_running(job, site="alpha")
        net.wait(lambda: net.job(job)["checkpoint"], 30, "a checkpoint copied on")
        net.agents["alpha"].kill_whole()
        view = net.wait_job(job, seconds=90)
        assert view["state"] == "succeeded", net.about(job)
        begins = []
        for rank in range(3):
            log = net.wait_log(job, f"rank {rank} begins at ", attempt=2, rank=rank)
            begins.append(int(log.split("begins at ")[1].split()[0]))
        assert min(begins) >= 1, f"some rank began anew: {begins}"
        artifact = net.wait_artifact(job, "output")
        for rank in range(3):
            assert net.file(artifact["id"], f"rank-{rank}/result-{rank}") == f"rank {rank} done\n".encode()
    finally:
        net.stop()


def test_what_a_job_has_spent_of_its_budget_is_known_after_a_restart(folder):
    net = Net(folder)
    try:
        net.site("alpha", ask="7200")  # a core-hour; half a core costs 1 a second
        job = net.submit("[ $LQ_ATTEMPT = 1 ] && { sleep 3; exit 1; }; sleep 60", name="spends", retries=3, budget="5",
                         expected="1s", time_limit="4s")
        net.wait_running(job, attempt=2)
        net.server.restart("kill")
        view = net.wait_job(job, seconds=60)
        assert view["state"] == "failed", net.about(job)
        ran = [attempt["ran_ms"] for attempt in view["attempts"]]
        assert len(ran) == 2 and ran[0] >= 2900, ran
        assert view["attempts"][1]["revoke"] == "budget", view["attempts"]
    finally:
        net.stop()
