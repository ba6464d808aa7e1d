"""Tests of `podium completion` with real shells."""

import shutil
import subprocess

import pytest

from tests.client.cli.shell import podium

# The words after `podium` that are typed. The shell completes the last one.
CASES = {
    ("ra",): ["rank"],
    ("rank", "e", "--max"): ["--maximize"],
    ("arms", "--status", "c"): ["completed", "cancelled"],
    ("token", "re"): ["revoke"],
    ("token", "create", "--role", "rec"): ["recorder"],
    ("--address", "h:1", "expo"): ["export"],
    ("completion", "f"): ["fish"],
    ("arms", "nothing-alike"): [],
}


def _run(shell: str, *arguments: str, text: str) -> list[str]:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    command = [program, *arguments]
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.timeout(300)
def test_bash() -> None:
    """Bash completes commands, actions, options and their values, even after global options."""
    script = podium("completion", "bash").out
    for words, expected in CASES.items():
        typed = " ".join(f"'{word}'" for word in ("podium", *words))
        asked = (
            f"{script}\nCOMP_WORDS=({typed}); COMP_CWORD={len(words)}; _podium\n"
            'for word in "${COMPREPLY[@]}"; do echo "$word"; done\n'
        )
        assert _run("bash", "--norc", text=asked) == expected, words


@pytest.mark.timeout(300)
def test_fish() -> None:
    """Fish completes the same words as bash, in its own order."""
    script = podium("completion", "fish").out
    for words, expected in CASES.items():
        if words[0].startswith("-"):
            continue
        line = " ".join(["podium", *words])
        found = _run("fish", "--no-config", text=f"{script}\ncomplete -C '{line}'\n")
        assert sorted(each.partition("\t")[0] for each in found) == sorted(expected), words


def test_an_unknown_shell_is_an_error() -> None:
    """The error about an unknown shell names the known shells."""
    done = podium("completion", "csh")
    assert done.code == 2
    assert "'csh' is not one of bash, zsh, fish" in done.err
