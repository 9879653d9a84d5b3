"""What the checks of tools/ share: the project's files, C source without comments, waivers."""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def project_files(root=ROOT):
    """Paths below root that belong to the project: tracked, or new and not ignored."""
    listing = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "-co", "--exclude-standard"],
        stdout=subprocess.PIPE, check=True).stdout
    names = sorted(set(listing.decode("utf-8").split("\0")) - {""})
    return [name for name in names if os.path.isfile(os.path.join(root, name))]


def read(name, root=ROOT):
    """The text of a project file; None where it is not text."""
    with open(os.path.join(root, name), "rb") as file:
        data = file.read()
    if b"\0" in data:
        return None
    return data.decode("utf-8", errors="replace")


# One alternative a lexical thing that can hide another: comments and literals.
_C_HIDERS = re.compile(
    r"""/\*.*?\*/ | //(?:\\\n|[^\n])* | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*'""",
    re.DOTALL | re.VERBOSE)


def c_without(text, comments=True, strings=True):
    """C source with comments and (or) the insides of literals blanked, line numbers kept."""

    def blank(match):
        found = match.group(0)
        if found.startswith(("/*", "//")):
            return re.sub(r"[^\n]", " ", found) if comments else found
        return found[0] + " " * (len(found) - 2) + found[-1] if strings else found

    return _C_HIDERS.sub(blank, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


class Waivers:
    """The lines of tools/waivers: `check path reason…`. One that no longer serves is an error."""

    def __init__(self, root=ROOT):
        self.reasons = {}
        self.used = set()
        for line in (read("tools/waivers", root) or "").splitlines():
            if line.strip() and not line.startswith("#"):
                check, path, reason = line.split(None, 2)
                self.reasons[(check, path)] = reason

    def has(self, check, path):
        if (check, path) not in self.reasons:
            return False
        self.used.add((check, path))
        return True

    def unused(self, checks):
        return sorted(key for key in self.reasons if key[0] in checks and key not in self.used)


def finish(name, problems, checked):
    """Prints the problems, one a line, and ends the program."""
    for problem in problems:
        print(problem)
    if problems:
        print(f"{name}: {len(problems)} problem{'s' if len(problems) != 1 else ''}")
        sys.exit(1)
    print(f"{name}: {checked}, no problem")
    sys.exit(0)
