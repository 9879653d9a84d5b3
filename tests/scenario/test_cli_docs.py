"""The command line about itself: reference, help, completion."""

import os
import re
import subprocess

import pytest

from conftest import LQ, ROOT

DOCS = os.path.join(ROOT, "docs", "cli.md")
BEGIN, END = "<!-- reference: begin -->\n", "<!-- reference: end -->\n"
pytestmark = pytest.mark.quick


def lq(*arguments, **more):
    return subprocess.run([LQ, *arguments], capture_output=True, text=True, timeout=60, check=False, **more)


def commands():
    return re.findall(r"^### lq (.+)$", lq("reference").stdout, re.MULTILINE)


def test_the_reference_in_the_docs_is_what_the_program_says():
    with open(DOCS, encoding="utf-8") as file:
        text = file.read()
    head, rest = text.split(BEGIN)
    written, tail = rest.split(END)
    said = lq("reference").stdout
    if os.environ.get("LQ_WRITE_DOCS"):
        with open(DOCS, "w", encoding="utf-8") as file:
            file.write(head + BEGIN + said + END + tail)
        return
    assert written == said, "docs/cli.md is out of date: run this test with LQ_WRITE_DOCS=1"


def test_every_command_has_help_with_an_example():
    names = commands()
    assert len(names) > 40
    for name in names:
        if name in ("supervise", "sim faults"):  # these parse for themselves
            continue
        answer = lq(*name.split(), "--help")
        assert answer.returncode == 0, name
        assert "Example" in answer.stdout, name
        assert "--json" in answer.stdout, name
        assert f"Usage: lq {name}" in answer.stdout
        assert answer.stdout == lq("help", *name.split()).stdout


def test_every_exit_code_of_the_program_is_in_the_docs():
    with open(os.path.join(ROOT, "src", "cli", "cli.h"), encoding="utf-8") as file:
        codes = re.search(r"enum exit_code \{(.*?)\};", file.read(), re.DOTALL).group(1)
    with open(DOCS, encoding="utf-8") as file:
        text = file.read()
    numbers = re.findall(r"= (\d+)", codes)
    assert len(numbers) == 8
    for number in numbers:
        assert f"\n| {number} | " in text


@pytest.mark.parametrize("words, wanted", [
    (["lq", "su"], {"submit", "supervise"}),
    (["lq", "tenant", ""], {"list", "show", "create", "set", "delete"}),
    (["lq", "tenant", "create", "--par"], {"--parent"}),
    (["lq", "logs", "job_x", "--fo"], {"--follow"}),
    (["lq", "server", "backup", "x", "--sta"], {"--state"}),
    (["lq", "server", "--lis"], {"--listen"}),
])
def test_bash_completes_commands_and_flags(words, wanted, tmp_path):
    script = tmp_path / "try.bash"
    script.write_text(lq("completion", "bash").stdout + "\nCOMP_WORDS=(" + " ".join(f"'{w}'" for w in words) + ")\n"
                      f"COMP_CWORD={len(words) - 1}\n_lq\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n")
    answer = subprocess.run(["bash", script], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert wanted <= set(answer.stdout.split()), answer.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_command_and_flag(shell):
    text = lq("completion", shell).stdout
    for name in commands():
        for word in name.split():
            assert word in text, name
    assert "lease-floor" in text


def test_unknown_words_are_told_with_the_nearest():
    answer = lq("jbos")
    assert answer.returncode == 2 and 'did you mean "jobs"?' in answer.stderr
    answer = lq("jobs", "--stat", "active")
    assert answer.returncode == 2 and "did you mean --state?" in answer.stderr
    answer = lq("tenant")
    assert answer.returncode == 2 and "lq tenant create" in answer.stderr
    assert lq("completion", "tcsh").returncode == 2
    assert lq().returncode == 2
    assert lq("submit").returncode == 2
    assert lq("version").stdout.startswith("lq 0.")
