"""What bench/surplus counts, on stories whose figures can be told by hand."""

import os
import sys
from types import SimpleNamespace

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "bench"))

from lending import figures, owners  # noqa: E402


def story(begins, at, *pieces, asked=None):
    """Pieces: (first, last, begin, end), each saved at its end."""
    lines = [f"begins {begins} {at}"]
    for first, last, begin, end in pieces:
        lines += [f"did {first} {last} {begin} {end}", f"saved {last} {end}"]
    if asked is not None:
        lines.append(f"asked {pieces[-1][1]} {asked}")
    return figures.Story("\n".join(["[lingqu] something else", *lines, ""]))


def test_percentiles_are_values_that_were_there():
    assert figures.percentile([], 99) == 0
    assert figures.percentile([3, 1, 2], 50) == 2
    assert figures.percentile(range(1, 101), 99) == 99
    assert figures.percentile(range(1, 11), 99) == 10


def test_host_lists_are_told_one_by_one():
    assert figures.expand("a-n[1-3,07],b") == ["a-n1", "a-n2", "a-n3", "a-n07", "b"]
    assert figures.expand("") == []


def test_a_step_that_is_done_twice_is_useful_once_and_only_inside_the_window():
    first = story(0, 100, (0, 10, 100, 105), (10, 20, 105, 110))
    second = story(10, 120, (10, 20, 120, 125), (20, 30, 125, 130))
    seconds, covered = figures.useful_seconds([first, second], (0, 1000))
    assert (seconds, covered) == (15, set(range(30)))
    assert figures.useful_seconds([first, second], (102, 128))[0] == 3 + 5 + 3


def test_attempts_that_live_at_the_same_moment_are_a_double_run():
    first = story(0, 100, (0, 10, 100, 105))
    assert figures.overlaps([first, story(10, 106, (10, 20, 106, 111))]) == 0
    assert figures.overlaps([first, story(10, 104, (10, 20, 104, 109))]) == 1
    assert figures.overlaps([first, figures.Story("")]) == 0


def test_work_done_again_is_what_the_next_attempt_did_not_begin_with():
    first = story(0, 100, (0, 10, 100, 105), (10, 20, 105, 110), asked=111)
    assert figures.work_lost([first, story(20, 120, (20, 30, 120, 125))], [0, 0]) == [(1, True)]
    assert figures.work_lost([first, story(10, 120, (10, 20, 120, 125))], [113, 0]) == [(8, False)]
    assert figures.work_lost([first], [0]) == []


def test_pool_work_holds_what_the_owner_could_use_only_where_there_was_room_but_for_it():
    waits = owners.Arrival(0, 1, 0.0, 5.0, 4)
    runs = owners.Arrival(0, 2, 0.0, 5.0, 6)
    times = {waits: (100.0, 110.0, 115.0, "n1"), runs: (90.0, 95.0, 104.0, "n2")}
    replay = SimpleNamespace(arrivals=[waits, runs], times=times.get)
    pool = SimpleNamespace(pool=lambda: [{"start": 50.0, "end": 108.0}])
    # Until 104 the owner's own job left two of eight devices; after 108 the pool was gone.
    assert figures.Holdings(replay, 0, 8).held_s(pool, waits, 100.0, 110.0) == 4.0


def test_a_plan_is_the_same_for_the_same_seed_and_wants_what_it_is_told_to():
    plan, left_out = owners.plan(ROOT, 1, 2, 16, 2, 300, 0.25)
    assert (plan, left_out) == owners.plan(ROOT, 1, 2, 16, 2, 300, 0.25)
    assert abs(owners.demand(plan, 300) / (2 * 32 * 300) - 0.25) < 0.005
    assert {arrival.site for arrival in plan} == {0, 1} and max(arrival.devices for arrival in plan) <= 8
    assert all(0 <= arrival.at_s < 300 for arrival in plan)
