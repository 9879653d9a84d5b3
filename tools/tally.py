"""Counts of tests, read from what the runners themselves wrote."""

import json
import os
import re
import xml.etree.ElementTree as ElementTree


class Tally:
    """How many tests passed, failed and were skipped, and why the last two."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped
        self.failures, self.skips = [], []

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures
        self.skips += other.skips

    def fail(self, why):
        self.failed += 1
        self.failures.append(why)

    def skip(self, why):
        self.skipped += 1
        self.skips.append(why)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def of_meson(path):
    """Counts of a meson testlog.json. Where a program's output has cmocka's own counts, its
    cases are counted one by one; any other program is one test."""
    tally = Tally()
    if not os.path.exists(path):
        tally.fail(f"the runner wrote no {os.path.basename(path)}")
        return tally
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            tally.add(_of_meson_test(json.loads(line)))
    if tally.passed + tally.failed + tally.skipped == 0:
        tally.fail("the runner ran no test")
    return tally


def _of_meson_test(test):
    tally, name = Tally(), test["name"]
    out = (test.get("stdout") or "") + "\n" + (test.get("stderr") or "")
    if test["result"] == "SKIP":
        last = [line for line in out.splitlines() if line.strip()][-1:]
        tally.skip(f"{name}: {last[0].strip() if last else 'exit code 77, without a reason'}")
        return tally
    tally.passed = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test\(s\)", out)))
    for case in re.findall(r"^\[  SKIPPED \] (\D\S*)$", out, re.M):
        tally.skip(f"{name}: {case}")
    ok = test["result"] in ("OK", "EXPECTEDFAIL")
    if not ok:
        cases = sorted(set(re.findall(r"^\[  FAILED  \] (\D\S*)$", out, re.M)))
        for case in cases or [f"{test['result'].lower()} after {test.get('duration', 0):.1f} s"]:
            tally.fail(f"{name}: {case}")
    elif tally.passed + tally.skipped == 0:
        tally.passed = 1
    return tally


def of_junit(path):
    """Counts of a JUnit file as pytest writes it."""
    tally = Tally()
    if not os.path.exists(path):
        tally.fail(f"the runner wrote no {os.path.basename(path)}")
        return tally
    for case in ElementTree.parse(path).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        bad = [child for child in case if child.tag in ("failure", "error")]
        skipped = case.find("skipped")
        if bad:
            message = (bad[0].get("message") or "").strip()
            tally.fail(f"{name}: {message.splitlines()[0][:160] if message else 'failed'}")
        elif skipped is not None:
            tally.skip(f"{name}: {skipped.get('message') or 'without a reason'}")
        else:
            tally.passed += 1
    if tally.passed + tally.failed + tally.skipped == 0:
        tally.fail("the runner ran no test")
    return tally


def of_last_line(text):
    """Counts of a runner of ours that ends with `N passed, N failed, N skipped`."""
    found = re.findall(r"^(\d+) passed, (\d+) failed, (\d+) skipped$", text, re.M)
    tally = Tally()
    if not found:
        tally.fail("the runner printed no counts")
        return tally
    tally.passed = int(found[-1][0])
    for _ in range(int(found[-1][1])):
        tally.fail("see the log")
    for _ in range(int(found[-1][2])):
        tally.skip("see the log")
    return tally


def of_faults(texts):
    """Counts of runs of `lq sim faults --json`: one test that no seed of any run broke an
    invariant, one a planted bug that was to be found."""
    tally, seeds, total, found = Tally(), 0, 0, 0
    violations = 0
    for text in texts:
        try:
            result = json.loads([line for line in text.splitlines() if line.startswith("{")][-1])
            seeds += result["seeds"]
            violations += result["violations"]
            planted = result.get("planted") or {"total": 0, "found": 0}
            total, found = max(total, planted["total"]), max(found, planted["found"])
        except (IndexError, ValueError, KeyError, TypeError) as error:
            tally.fail(f"a run printed no result: {error!r}")
            return tally, "no result"
    if violations or not seeds:
        tally.fail(f"{violations} violations in {seeds} seeds")
    else:
        tally.passed += 1
    tally.passed += found
    for _ in range(total - found):
        tally.fail("a planted bug was not found")
    if total < PLANTED_MIN:
        tally.fail(f"{total} planted bugs; at least {PLANTED_MIN} are expected")
    return tally, f"{seeds} seeds, {violations} violations, {found} of {total} planted bugs found"


# The fault simulation plants each rule of the protocol broken once, at least.
PLANTED_MIN = 12
