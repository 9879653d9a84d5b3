"""Fixtures of the tests with clients of Slurm's: those of the scenarios."""

import importlib.util
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SCENARIO = os.path.join(ROOT, "tests", "scenario")
sys.path.insert(0, SCENARIO)
os.environ.setdefault("LQ", os.path.join(ROOT, "build", "gcc", "src", "cli", "lq"))


def scenario_modules():
    """The scenarios' modules, with their conftest under the name by which they know it; this one has the same."""
    own = sys.modules.pop("conftest", None)
    spec = importlib.util.spec_from_file_location("conftest", os.path.join(SCENARIO, "conftest.py"))
    sys.modules["conftest"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["conftest"])
    import door  # noqa: F401
    import lingqu  # noqa: F401
    if own is not None:
        sys.modules["conftest"] = own


scenario_modules()
