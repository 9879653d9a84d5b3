"""The counts of ./test are those that the runners reported; what did not run is not counted."""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import tally  # noqa: E402


def counts(found):
    return found.passed, found.failed, found.skipped


def meson_log(tmp_path, *tests):
    path = tmp_path / "testlog.json"
    path.write_text("".join(json.dumps(test) + "\n" for test in tests))
    return str(path)


CMOCKA_GOOD = "[==========] Running 3 test(s).\n[  PASSED  ] 3 test(s).\n"
CMOCKA_BAD = ("[  FAILED  ] job_ends_once\n[==========] 3 test(s) run.\n[  PASSED  ] 2 test(s).\n"
              "[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] job_ends_once\n")


def test_cases_of_cmocka_are_counted_one_by_one(tmp_path):
    log = meson_log(tmp_path, {"name": "job", "result": "OK", "stderr": CMOCKA_GOOD},
                    {"name": "map", "result": "OK", "stdout": ""})
    assert counts(tally.of_meson(log)) == (4, 0, 0)


def test_a_failed_case_is_named_once(tmp_path):
    found = tally.of_meson(meson_log(tmp_path, {"name": "job", "result": "FAIL", "stderr": CMOCKA_BAD}))
    assert counts(found) == (2, 1, 0) and found.failures == ["job: job_ends_once"]


def test_a_crash_after_passed_cases_fails(tmp_path):
    found = tally.of_meson(meson_log(tmp_path, {"name": "job", "result": "FAIL", "stderr": CMOCKA_GOOD}))
    assert counts(found) == (3, 1, 0)


def test_a_timeout_fails_and_a_skip_says_why(tmp_path):
    found = tally.of_meson(meson_log(
        tmp_path, {"name": "job", "result": "TIMEOUT", "duration": 30.0},
        {"name": "gpu", "result": "SKIP", "stdout": "no accelerator here\n"}))
    assert counts(found) == (0, 1, 1) and found.skips == ["gpu: no accelerator here"]


def test_a_runner_that_ran_nothing_fails(tmp_path):
    assert counts(tally.of_meson(meson_log(tmp_path))) == (0, 1, 0)
    assert counts(tally.of_meson(str(tmp_path / "absent.json"))) == (0, 1, 0)
    empty = tmp_path / "empty.xml"
    empty.write_text("<testsuites><testsuite/></testsuites>")
    assert counts(tally.of_junit(str(empty))) == (0, 1, 0)
    assert counts(tally.of_junit(str(tmp_path / "absent.xml"))) == (0, 1, 0)
    assert counts(tally.of_last_line("all fine\n")) == (0, 1, 0)


def test_counts_of_pytest_are_read(tmp_path):
    path = tmp_path / "x.xml"
    path.write_text('<testsuites><testsuite><testcase classname="a" name="b"/>'
                    '<testcase classname="a" name="c"><failure message="it broke"/></testcase>'
                    '<testcase classname="a" name="d"><error message="fixture"/></testcase>'
                    '<testcase classname="a" name="e"><skipped message="needs root"/></testcase>'
                    '</testsuite></testsuites>')
    found = tally.of_junit(str(path))
    assert counts(found) == (1, 2, 1)
    assert found.failures[0] == "a::c: it broke" and found.skips == ["a::e: needs root"]


def faults(seeds=5, violations=0, total=12, found=12):
    return json.dumps({"seeds": seeds, "violations": violations, "seeds_per_s": 16.0,
                       "planted": {"total": total, "found": found}})


def test_fault_simulation_counts_planted_bugs_and_violations():
    assert counts(tally.of_faults([faults(), "note\n" + faults()])[0]) == (13, 0, 0)
    assert counts(tally.of_faults([faults(violations=1), faults()])[0]) == (12, 1, 0)
    assert counts(tally.of_faults([faults(found=10)])[0]) == (11, 2, 0)
    assert counts(tally.of_faults([faults(total=0, found=0)])[0]) == (1, 1, 0)
    assert counts(tally.of_faults([faults(seeds=0)])[0]) == (12, 1, 0)
    assert counts(tally.of_faults(["no json"])[0]) == (0, 1, 0)
