"""The checks of tools/ find what they are for: each test plants one violation in a small tree."""

import os
import subprocess
import sys

import pytest

TOOLS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools")

MATRIX = """
# folder : may include | libraries | pure
base  :            |              |
port  : base       | uv           |
model : base       |              | pure
wire  : base model | openssl-hash yyjson | pure
"""


@pytest.fixture
def tree(tmp_path):
    """A project of four folders that passes, and a function that adds a file to it."""
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)

    def add(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return tmp_path

    add("tools/layers", MATRIX)
    add("tools/waivers", "# none\n")
    add("src/base/err.h", "#pragma once\n#include <stdint.h>\n")
    add("src/base/err.c", '#include "base/err.h"\n#include <time.h>\n')
    add("src/model/job.h", '#pragma once\n#include "base/err.h"\n#include <string.h>\n')
    add("src/wire/json.c", '#include "model/job.h"\n#include <yyjson.h>\n#include <openssl/evp.h>\n')
    add("src/port/loop.c", '#include "base/err.h"\n#include <uv.h>\n#include <unistd.h>\n')
    return add


def run(check, root):
    done = subprocess.run([sys.executable, os.path.join(TOOLS, check), str(root)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def test_a_tree_within_the_rules_passes(tree):
    root = tree("src/model/x.c", '#include "model/job.h"\n// #include "port/loop.h"\n'
                                 '/*\n#include <time.h>\n*/ const char *s = "fopen(x)";\n')
    assert run("check-layers", root) == (0, "check-layers: 6 files, no problem\n")
    assert run("check-banned", root)[0] == 0


@pytest.mark.parametrize("name, line, says", [
    ("src/base/x.c", '#include "model/job.h"', "base may not include model"),
    ("src/model/x.c", '#include "port/x.h"', "does not exist"),
    ("src/wire/x.c", '# \t include "port/p.h"', "wire may not include port"),
    ("src/wire/x.c", "#include <port/p.h>", "wire may not include port"),
    ("src/wire/x.c", '#inc\\\nlude "port/p.h"', "wire may not include port"),
    ("src/wire/x.c", '#include /* why */ "port/p.h"', "wire may not include port"),
    ("src/wire/x.c", '%:include "port/p.h"', "wire may not include port"),
    ("src/model/x.c", '#include "job.h"', "folder/file.h"),
    ("src/model/x.c", '#include "model/../port/p.h"', "without"),
    ("src/model/x.c", "#include HEADER", "literal"),
    ("src/model/x.c", '#include_next "base/err.h"', "literal"),
    ("src/model/x.c", "#include <time.h>", "model is pure"),
    ("src/model/x.c", "#include <unistd.h>", "model is pure"),
    ("src/model/x.c", "#include <sys/stat.h>", "model is pure"),
    ("src/model/x.c", "#include <pthread.h>", "model is pure"),
    ("src/model/x.c", "#include <uv.h>", "does not give it uv"),
    ("src/wire/x.c", "#include <openssl/ssl.h>", "does not give it openssl"),
    ("src/base/x.h", "#include <time.h>", "a header of base may not include <time.h>"),
    ("src/base/x.c", "#include <yyjson.h>", "does not give it yyjson"),
    ("src/model/x.c", 'void f(void) { fopen ("x", "r"); }', "may not call fopen"),
    ("src/model/x.c", "long f(void) { return time(0); }", "may not call time"),
    ("src/other/x.c", '#include "base/err.h"', "no line for its folder"),
])
def test_check_layers_finds(tree, name, line, says):
    tree("src/port/p.h", "#pragma once\n")
    code, out = run("check-layers", tree(name, line + "\n"))
    assert code == 1 and says in out, out


def test_check_layers_finds_a_cycle_of_headers(tree):
    tree("src/model/a.h", '#include "model/b.h"\n')
    tree("src/model/b.h", '#include "model/c.h"\n')
    code, out = run("check-layers", tree("src/model/c.h", '#include "model/a.h"\n'))
    assert code == 1 and "a cycle of includes: src/model/a.h -> src/model/b.h" in out


def test_check_layers_finds_a_cycle_in_the_matrix(tree):
    root = tree("tools/layers", MATRIX.replace("base  :     ", "base  : wire"))
    code, out = run("check-layers", root)
    assert code == 1 and "stands on no line above it" in out


MARK = "TO" + "DO"


@pytest.mark.parametrize("name, text, says", [
    ("src/base/x.c", "void f(void) { strcpy(a, b); }\n", "banned: strcpy()"),
    ("src/base/x.c", "int f(void) { return system (x); }\n", "banned: system()"),
    ("tests/unit/x.c", "int f(void) { return atoi(x); }\n", "banned: atoi()"),
    ("src/base/x.c", f"// {MARK}: later\n", "unfinished"),
    ("docs/x.md", f"{MARK} later\n", "unfinished"),
    ("docs/x.md", "see /ro" + "ot/x\n", "a path of one machine"),
    ("docs/x.md", "from https://py" + "pi.org/simple\n", "names a package registry"),
    ("src/base/x.c", "\n" * 601, "601 lines"),
    ("src/base/x.c", "int f(void)\n{\n" + "    x();\n" * 81 + "}\n", "a function of 81 lines"),
])
def test_check_banned_finds(tree, name, text, says):
    code, out = run("check-banned", tree(name, text))
    assert code == 1 and says in out, out


def test_check_banned_leaves_comments_strings_and_members_alone(tree):
    code, out = run("check-banned", tree(
        "src/base/x.c", '// strcpy(a)\nconst char *s = "system(x)";\nvoid f(void) { ops->gets(1); }\n'))
    assert code == 0, out


def test_a_waiver_excuses_and_a_useless_one_fails(tree):
    tree("src/base/x.c", "\n" * 700)
    assert run("check-banned", tree("tools/waivers", "long src/base/x.c a table\n"))[0] == 0
    tree("src/base/x.c", "\n")
    code, out = run("check-banned", tree("tools/waivers", "long src/base/x.c a table\n"))
    assert code == 1 and "nothing needs" in out


def test_check_globals_tells_constants_from_variables(tmp_path):
    folder = tmp_path / "src" / "base" / "libbase.a.p"
    folder.mkdir(parents=True)

    def check(source):
        (tmp_path / "x.c").write_text(source)
        subprocess.run(["gcc", "-O1", "-fPIE", "-c", tmp_path / "x.c", "-o", folder / "x.c.o"],
                       check=True)
        return run("check-globals", tmp_path)

    constant = "static const char *const t[] = {\"a\", \"b\"};\nconst char *f(int i) { return t[i]; }\n"
    assert check(constant)[0] == 0
    for variable in ("int n;\n", "static int n = 3; int *f(void) { return &n; }\n",
                     "int f(void) { static int n; return n++; }\n", "_Thread_local int n;\n",
                     "const char *n = \"pointer that may change\";\n"):
        code, out = check(variable)
        assert code == 1 and "is a mutable global" in out, variable
