"""The stages of ./test: what runs, in which order, within which time.

A stage counts what its runner reports. One that cannot run, finds nothing to run, exceeds its
limit or leaves processes behind has failed: nothing is missing silently.
"""

import argparse
import ctypes
import fcntl
import os
import platform
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import tally as tallies  # noqa: E402
from tally import Tally  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LOGS = os.path.join(ROOT, "build", "test-logs")
LQ = os.path.join(ROOT, "build", "gcc", "src", "cli", "lq")
PYTHON = os.path.join(ROOT, "build", "venv", "bin", "python3")

# A budget is what a stage takes on two free cores. It is stopped at this many times that, so
# that a busy machine does not fail it and a hanging test does not hold it for ever.
LIMIT_BUDGETS = 5
LOG_TAIL_LINES = 40
PR_SET_CHILD_SUBREAPER = 36

BUILDS = {
    "gcc": ("gcc", []),
    "release": ("gcc", ["--buildtype=release", "-Dtests=false"]),
    "asan": ("clang", ["-Db_sanitize=address,undefined"]),
    "tsan": ("clang", ["-Db_sanitize=thread"]),
    "fuzz": ("clang", ["-Db_sanitize=address,undefined", "-Dfuzz=true"]),
}
# A finding ends the program, so that no runner can miss it.
SANITIZER_ENV = {
    "ASAN_OPTIONS": "halt_on_error=1:abort_on_error=1:detect_leaks=1:strict_string_checks=1",
    "UBSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:print_stacktrace=1",
    "TSAN_OPTIONS": "halt_on_error=1:abort_on_error=1:second_deadlock_stack=1",
}


class CannotRun(Exception):
    """A stage lacks what it needs; the message says what."""


class Context:
    """One stage's run: its log, its deadline, and how it starts programs."""

    def __init__(self, name, mode, limit_s):
        self.name, self.mode = name, mode
        self.deadline = time.monotonic() + limit_s
        self.log_path = os.path.join(LOGS, name + ".log")
        self.log = open(self.log_path, "wb")
        self.notes = []

    def run(self, *argv, env=None):
        """Runs a program to its end; True when it ended with 0. Output goes to the log."""
        return self.run_all([argv], env=env)[0] == 0

    def run_all(self, argvs, env=None, outputs=None):
        """Runs programs side by side; their exit codes. outputs: files instead of the log."""
        started = []
        for index, argv in enumerate(argvs):
            self.log.write(("+ " + " ".join(argv) + "\n").encode())
            self.log.flush()
            out = open(outputs[index], "wb") if outputs else self.log
            started.append(subprocess.Popen(
                argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=self.log,
                env={**os.environ, **(env or {})}, start_new_session=True))
            if outputs:
                out.close()
        try:
            return [child.wait(max(0.1, self.deadline - time.monotonic())) for child in started]
        except subprocess.TimeoutExpired as late:
            raise CannotRun("stopped at its time limit") from late
        finally:
            for child in started:
                if child.poll() is None:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()

    def text(self):
        self.log.flush()
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()


def build(context, kind):
    """Configures build/KIND if need be and builds it. Builds are no tests: only a failure counts."""
    folder = os.path.join(ROOT, "build", kind)
    compiler, options = BUILDS[kind]
    wanted = " ".join([compiler] + options)
    stamp = os.path.join(folder, "configured-with.txt")
    if not os.path.exists(stamp) or open(stamp, encoding="utf-8").read() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        if not context.run("meson", "setup", folder, *options, env={"CC": compiler}):
            raise CannotRun("meson could not configure the build")
        with open(stamp, "w", encoding="utf-8") as file:
            file.write(wanted)
    if not context.run("ninja", "-C", folder):
        raise CannotRun("the build failed")
    return Tally()


def unit(context, kind):
    folder = os.path.join(ROOT, "build", kind)
    log = os.path.join(folder, "meson-logs", "testlog.json")
    if os.path.exists(log):
        os.remove(log)
    argv = ["meson", "test", "-C", folder, "--no-rebuild"]
    if kind != "gcc":
        argv += ["--timeout-multiplier", "6"]
    elif context.mode == "quick":
        argv += ["--no-suite", "slow"]
    if kind == "tsan":
        # Its shadow memory does not fit beside the more random addresses of newer kernels.
        argv = ["setarch", platform.machine(), "--addr-no-randomize"] + argv
    ok = context.run(*argv, env=SANITIZER_ENV)
    tally = tallies.of_meson(log)
    if not ok and tally.failed == 0:
        tally.fail("meson test failed without naming a test")
    return tally


def check(context, *argv):
    """A check of tools/ is one test."""
    tally = Tally()
    if context.run(*argv):
        tally.passed = 1
    else:
        tally.fail(" ".join(os.path.relpath(arg, ROOT) if os.path.isabs(arg) else arg
                            for arg in argv))
    return tally


def pytest(context, folder, *options, env=None):
    if not os.path.isdir(os.path.join(ROOT, folder)):
        raise CannotRun(f"there is no {folder}")
    junit = os.path.join(LOGS, context.name + ".xml")
    if os.path.exists(junit):
        os.remove(junit)
    ok = context.run(PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml", junit,
                     *options, folder, env={"PYTHONDONTWRITEBYTECODE": "1", **(env or {})})
    tally = tallies.of_junit(junit)
    if not ok and tally.failed == 0:
        tally.fail("pytest failed without naming a test")
    return tally


def need_lq():
    if not os.access(LQ, os.X_OK):
        raise CannotRun("build/gcc has no lq")


def stage_checks(context):
    tally = Tally()
    for name in ("format", "layers", "banned"):
        tally.add(check(context, os.path.join(ROOT, "tools", "check-" + name)))
    return tally


def stage_globals(context):
    return check(context, os.path.join(ROOT, "tools", "check-globals"), "build/gcc")


def stage_models(context):
    runner = os.path.join(ROOT, "tests", "model", "run")
    if not os.path.exists(runner):
        raise CannotRun("there is no tests/model/run")
    ok = context.run(runner, *(["--quick"] if context.mode == "quick" else []))
    tally = tallies.of_last_line(context.text())
    if not ok and tally.failed == 0:
        tally.fail("tests/model/run failed")
    return tally


def faults(context, lq, seeds, env=None):
    """Seeds of the fault simulation, shared among the processors."""
    shards = os.cpu_count() or 1
    outputs = [os.path.join(LOGS, f"{context.name}-{shard}.json") for shard in range(shards)]
    share = -(-seeds // shards)
    codes = context.run_all(
        [[lq, "sim", "faults", "--seeds", str(share), "--first-seed", str(1 + shard * share),
          "--json"] for shard in range(shards)], env=env, outputs=outputs)
    texts = [open(path, encoding="utf-8", errors="replace").read() for path in outputs]
    tally, note = tallies.of_faults(texts)
    context.notes.append(note)
    if any(codes) and tally.failed == 0:
        tally.fail(f"lq sim faults ended with {codes}")
    return tally


def stage_faults(context):
    need_lq()
    return faults(context, LQ, {"quick": 400, "normal": 10000, "full": 50000}[context.mode])


def stage_faults_asan(context):
    lq = LQ.replace("/gcc/", "/asan/")
    if not os.access(lq, os.X_OK):
        raise CannotRun("build/asan has no lq")
    return faults(context, lq, 200, env=SANITIZER_ENV)


def stage_scenarios(context):
    need_lq()
    marker = {"quick": ["-m", "quick"], "normal": ["-m", "not full"], "full": []}[context.mode]
    return pytest(context, "tests/scenario", *marker, env={"LQ": LQ})


def stage_scenarios_asan(context):
    """The quick scenarios once more, against the sanitized program."""
    lq = LQ.replace("/gcc/", "/asan/")
    if not os.access(lq, os.X_OK):
        raise CannotRun("build/asan has no lq")
    return pytest(context, "tests/scenario", "-m", "quick", env={"LQ": lq, **SANITIZER_ENV})


def stage_slurm(context):
    """Real Slurm clusters on this machine, and sites that join with them."""
    need_lq()
    if os.geteuid() != 0:
        tally = Tally()
        tally.skip("Slurm's daemons and accounts need root")
        return tally
    if not context.run(os.path.join(ROOT, "tools", "setup"), "--test", "--slurm"):
        raise CannotRun("Slurm could not be installed")
    marker = [] if context.mode == "full" else ["-m", "not full"]
    return pytest(context, "tests/slurm", *marker, env={"LQ": LQ})


def stage_shim(context):
    """Debian's snakemake and toil over the commands of lq slurm-shim."""
    need_lq()
    if not context.run(os.path.join(ROOT, "tools", "setup"), "--test", "--shim"):
        tally = Tally()
        tally.skip("snakemake and toil cannot be installed here")
        return tally
    return pytest(context, "tests/shim", env={"LQ": LQ})


def stage_fuzz(context):
    build(context, "fuzz")
    folder = os.path.join(ROOT, "build", "fuzz", "tests", "fuzz")
    targets = sorted(name for name in os.listdir(folder) if name.startswith("fuzz_")
                     and os.path.isfile(os.path.join(folder, name)))
    if not targets:
        raise CannotRun("tests/fuzz has no target")
    tally, runs = Tally(), []
    seconds = "60" if context.mode == "full" else "5"
    for target in targets:
        name = target.removeprefix("fuzz_")
        corpus = os.path.join(ROOT, "tests", "fuzz", "corpus", name)
        if not os.path.isdir(corpus) or not os.listdir(corpus):
            tally.fail(f"{target}: tests/fuzz/corpus/{name} is empty")
            continue
        # What is new goes to the build folder; what crashes, too.
        found = os.path.join(ROOT, "build", "fuzz", "found", name)
        os.makedirs(found, exist_ok=True)
        runs.append((target, [
            os.path.join(folder, target), "-max_total_time=" + seconds, "-timeout=10",
            "-rss_limit_mb=1024", "-print_final_stats=1", "-verbosity=0",
            f"-artifact_prefix={found}/", found, corpus]))
    abreast = os.cpu_count() or 1
    for first in range(0, len(runs), abreast):
        batch = runs[first:first + abreast]
        codes = context.run_all([argv for _, argv in batch], env=SANITIZER_ENV)
        for (target, argv), code in zip(batch, codes):
            if code == 0:
                tally.passed += 1
            else:
                tally.fail(f"{target}: found an input; see {os.path.relpath(argv[-2], ROOT)}")
    return tally


def stage_clean_rooms(context, suite):
    tally = Tally()
    if os.geteuid() != 0:
        tally.skip("a clean room needs root")
    elif shutil.which("debootstrap") is None:
        tally.skip("debootstrap is not installed")
    else:
        return check(context, os.path.join(ROOT, "tools", "clean-room"), suite)
    return tally


QUICK, NORMAL, FULL = ("quick", "normal", "full"), ("normal", "full"), ("full",)
# name, modes it belongs to, budget in seconds a mode (quick, normal, full), needs, function
STAGES = [
    ("checks", QUICK, (10, 10, 10), (), stage_checks),
    ("tool-tests", QUICK, (10, 10, 10), (), lambda c: pytest(c, "tests/tools")),
    ("build-gcc", QUICK, (60, 60, 60), (), lambda c: build(c, "gcc")),
    ("globals", QUICK, (5, 5, 5), ("build-gcc",), stage_globals),
    ("unit", QUICK, (15, 30, 30), ("build-gcc",), lambda c: unit(c, "gcc")),
    ("models", QUICK, (10, 60, 60), (), stage_models),
    ("faults", QUICK, (20, 360, 1800), ("build-gcc",), stage_faults),
    ("scenarios", QUICK, (40, 240, 1200), ("build-gcc",), stage_scenarios),
    ("slurm", NORMAL, (0, 300, 600), ("build-gcc",), stage_slurm),
    ("shim", FULL, (0, 0, 300), ("build-gcc",), stage_shim),
    ("build-release", NORMAL, (0, 90, 90), (), lambda c: build(c, "release")),
    ("build-asan", NORMAL, (0, 90, 90), (), lambda c: build(c, "asan")),
    ("unit-asan", NORMAL, (0, 60, 60), ("build-asan",), lambda c: unit(c, "asan")),
    ("faults-asan", NORMAL, (0, 90, 90), ("build-asan",), stage_faults_asan),
    ("scenarios-asan", NORMAL, (0, 90, 90), ("build-asan",), stage_scenarios_asan),
    ("build-tsan", NORMAL, (0, 90, 90), (), lambda c: build(c, "tsan")),
    ("unit-tsan", NORMAL, (0, 90, 90), ("build-tsan",), lambda c: unit(c, "tsan")),
    ("fuzz", NORMAL, (0, 180, 1200), (), stage_fuzz),
    ("clean-room-bookworm", FULL, (0, 0, 900), (), lambda c: stage_clean_rooms(c, "bookworm")),
    ("clean-room-trixie", FULL, (0, 0, 900), (), lambda c: stage_clean_rooms(c, "trixie")),
]


def children_left():
    """(pid, command) of the processes that a stage left to us, who are their reaper."""
    left = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
            if int(parent) != os.getpid():
                continue
            if state == "Z":
                os.waitpid(int(pid), 0)
                continue
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                left.append((int(pid), file.read().replace(b"\0", b" ").decode(errors="replace")))
        except (OSError, ValueError):
            continue
    return left


def sweep(tally):
    """Processes that outlive their stage are a finding; they are ended, their children too."""
    grace_end = time.monotonic() + 2
    while children_left() and time.monotonic() < grace_end:
        time.sleep(0.05)
    for _ in range(100):
        left = children_left()
        if not left:
            break
        for pid, command in left:
            tally.fail(f"left a process behind: {command.strip()[:120]}")
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def run_stage(name, mode, budget_s, function):
    print(f"== {name} (budget {budget_s} s)", flush=True)
    started, context = time.monotonic(), Context(name, mode, budget_s * LIMIT_BUDGETS)
    tally, broken = Tally(), False
    try:
        tally.add(function(context))
    except CannotRun as why:
        tally.fail(f"could not run: {why}")
        broken = True
    sweep(tally)
    took = time.monotonic() - started
    if tally.failed:
        lines = context.text().splitlines()
        print("\n".join("   | " + line for line in lines[-LOG_TAIL_LINES:]))
    for why in context.notes:
        print("   " + why)
    for why in tally.skips:
        print("   skipped: " + why)
    for why in tally.failures:
        print("   FAILED: " + why)
    over = f", over its budget of {budget_s} s" if took > budget_s else ""
    print(f"   {tally} in {took:.1f} s{over}", flush=True)
    context.log.close()
    return tally, broken, took


def parse_arguments():
    parser = argparse.ArgumentParser(prog="./test", description="Runs every test of the project.")
    parser.add_argument("--quick", action="store_const", dest="mode", const="quick")
    parser.add_argument("--full", action="store_const", dest="mode", const="full")
    parser.add_argument("--stage", metavar="A,B", help="only these stages")
    parser.add_argument("--list", action="store_true", help="name the stages and end")
    parser.add_argument("--setup-started", type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.mode = arguments.mode or "normal"
    return arguments


def choose(arguments):
    if arguments.stage is None:
        return [stage for stage in STAGES if arguments.mode in stage[1]]
    names = arguments.stage.split(",")
    unknown = set(names) - {stage[0] for stage in STAGES}
    if unknown:
        sys.exit(f"no such stage: {', '.join(sorted(unknown))}; --list names them")
    return [stage for stage in STAGES if stage[0] in names]


def main():
    arguments = parse_arguments()
    if arguments.list:
        print("\n".join(f"{name:20} {', '.join(modes)}" for name, modes, *_ in STAGES))
        return 0
    os.makedirs(LOGS, exist_ok=True)
    lock = open(os.path.join(ROOT, "build", "test.lock"), "w", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit("another ./test runs in this checkout")
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if arguments.setup_started:
        print(f"== setup\n   ready in {time.time() - arguments.setup_started:.1f} s", flush=True)

    total, summary, broken = Tally(), [], set()
    for name, modes, budgets, needs, function in choose(arguments):
        budget_s = budgets[QUICK.index(arguments.mode)] or max(budgets)
        if broken & set(needs):
            tally, took = Tally(), 0.0
            tally.fail(f"could not run: {', '.join(sorted(broken & set(needs)))} failed")
            print(f"== {name}\n   FAILED: {tally.failures[0]}", flush=True)
        else:
            tally, is_broken, took = run_stage(name, arguments.mode, budget_s, function)
            if is_broken:
                broken.add(name)
        total.add(tally)
        summary.append(f"   {name:20} {took:7.1f} s  {tally}")
    print("== summary\n" + "\n".join(summary))
    print(total)
    return 1 if total.failed or total.passed == 0 else 0


sys.exit(main())
