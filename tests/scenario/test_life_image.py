"""Jobs in container images, by podman, from an image that the test itself makes."""

import io
import os
import shutil
import subprocess
import tarfile

import pytest
from lingqu import Net, living_net

IMAGE = f"localhost/lq-test-{os.getpid()}:1"


def add(tar, name, mode=0o755, data=None, **more):
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    for key, value in more.items():
        setattr(entry, key, value)
    if data is not None:
        entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data) if data is not None else None)


def podman(*argv):
    return subprocess.run(["podman", *argv], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A root of busybox alone, with what a hostile image would bring."""
    path = tmp_path_factory.mktemp("image") / "root.tar"
    with open(shutil.which("busybox"), "rb") as file, tarfile.open(path, "w") as tar:
        for folder in ("bin", "etc", "tmp", "opt"):
            add(tar, folder, type=tarfile.DIRTYPE)
        busybox = file.read()
        add(tar, "bin/busybox", data=busybox)
        for name in ("sh", "cat", "ls", "id", "mknod", "mount", "stat", "head"):
            add(tar, f"bin/{name}", type=tarfile.SYMTYPE, linkname="busybox")
        add(tar, "bin/rootly", mode=0o4755, data=busybox)
        add(tar, "etc/os-release", mode=0o644, data=b"ID=lingqu-test\n")
        add(tar, "etc/passwd", mode=0o644, data=b"root::0:0::/:/bin/sh\n")
        add(tar, "opt/disk", mode=0o666, type=tarfile.BLKTYPE, devmajor=254, devminor=0)
        add(tar, "host", type=tarfile.SYMTYPE, linkname="../../../../../..")
        add(tar, "shadow", type=tarfile.SYMTYPE, linkname="/etc/shadow")
    made = podman("import", str(path), IMAGE)
    if made.returncode != 0 or podman("image", "mount", IMAGE).returncode != 0:
        pytest.skip("podman cannot keep or mount images on this machine: " + made.stderr.strip()[-200:])
    yield IMAGE
    podman("image", "unmount", "--force", IMAGE)
    podman("rmi", "--force", IMAGE)


@pytest.fixture(scope="module")
def net(image):
    with living_net() as net:
        net.site("alpha", flags=("--images", "localhost/"))
        yield net


def test_a_job_runs_in_its_image_and_nothing_of_the_host_is_there(net, image):
    job = net.submit("""
        cat /etc/os-release; id -u; ls -d /usr /root /home /var 2>/dev/null; echo "in $PWD on $LQ_SITE"
        cat /etc/passwd; echo kept >kept; touch /bin/x 2>/dev/null && echo writes; true
    """, name="boxed", image=image, outputs=["kept"])
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    log = net.wait_log(job, "in /job on alpha")
    assert "ID=lingqu-test" in log
    assert not any(folder in log.split() for folder in ("/usr", "/root", "/home", "0")), log
    assert "root::0" not in log and "job:x:" in log and "writes" not in log
    assert net.file(net.wait_artifact(job, "output")["id"], "kept") == b"kept\n"


def test_what_a_hostile_image_brings_does_no_harm(net, image):
    job = net.submit("""
        /bin/rootly id -u; head -c 1 /opt/disk && echo reads the disk
        cat /shadow 2>/dev/null && echo reads shadow; ls /host/root 2>/dev/null && echo sees the host
        mknod /tmp/d b 254 0 && echo makes devices; mount -t tmpfs x /tmp && echo mounts; echo looked
    """, name="hostile", image=image)
    assert net.wait_job(job)["state"] == "succeeded", net.about(job)
    log = net.wait_log(job, "looked")
    for word in ("reads the disk", "reads shadow", "sees the host", "makes devices", "mounts"):
        assert word not in log, log
    assert "0" not in log.split(), log


def test_limits_and_the_start_gate_hold_in_an_image(net, image):
    job = net.submit("x=a; while :; do x=$x$x; done", name="eats", image=image)
    assert net.wait_job(job)["outcome"] == "out_of_memory", net.about(job)
    late = net.submit("while :; do :; done", name="spins", image=image, time_limit="2s")
    assert net.wait_job(late)["outcome"] == "time_limit", net.about(late)


def test_an_image_that_the_operator_does_not_allow_is_refused_at_submit(net):
    for name in ("registry.example/a:b", "localhostile/a"):
        answer = net.admin.post("/v1/jobs", {"name": "x", "run": "true", "image": name})
        assert answer.status == 422 and "no site runs the container image" in answer.json()["detail"], answer


def test_an_image_that_is_not_there_is_a_bad_environment_and_says_why(folder):
    net = Net(folder)
    try:
        net.site("alpha", flags=("--images", "localhost/"))
        job = net.submit("true", name="missing", image="localhost/lq-there-is-none:1")
        net.wait_log(job, "the image cannot be pulled", seconds=60)
        net.admin.post(f"/v1/jobs/{job}:cancel")
        view = net.wait_job(job, seconds=60)
        assert view["attempts"][0]["outcome"] == "bad_environment", view
    finally:
        net.stop()
