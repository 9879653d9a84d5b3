"""Work of lower classes makes room for a guaranteed job, and comes back."""

import pytest
from lingqu import living_net, usage_is_whole


@pytest.fixture(scope="module")
def net():
    with living_net() as net:
        net.site("alpha", nodes=["n0:cpus=2,mem=1GiB"])
        yield net


def test_a_guaranteed_job_takes_the_place_of_surplus_work_which_saves_itself_and_runs_again(net):
    whole = {"cpus": 2, "memory": "64MiB"}
    low = net.submit("""
        [ "$LQ_ATTEMPT" = 1 ] || { echo back; exit 0; }
        trap 'echo saved; exit 0' TERM
        echo up
        sleep 300 & wait
    """, name="low", priority="surplus", resources=whole, time_limit="1h", checkpoint={"dir": "ck", "grace": "10s"})
    net.wait_log(low, "up")
    high = net.submit("echo mine", name="high", priority="guaranteed", resources=whole, time_limit="1h")
    view = net.wait_job(high)
    assert view["state"] == "succeeded", net.about(high)
    view = net.wait_job(low)
    assert view["state"] == "succeeded" and view["attempt"] == 2, net.about(low)
    assert view["attempts"][0]["outcome"] == "preempted"
    assert "saved" in net.wait_log(low, "saved", attempt=1)
    usage_is_whole(net.settle())


def test_standard_work_is_not_stopped_for_standard_work(net):
    whole = {"cpus": 2, "memory": "64MiB"}
    first = net.submit("echo up; sleep 3", name="first", resources=whole, time_limit="1h")
    net.wait_log(first, "up")
    second = net.submit("true", name="second", resources=whole)
    assert net.wait_job(second)["state"] == "succeeded"
    assert net.job(first)["attempt"] == 1 and net.wait_job(first)["state"] == "succeeded"
