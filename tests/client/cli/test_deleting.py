"""Tests of `podium delete`: its question, and its effect."""

import json
import shlex
import signal
import subprocess

import podium as library
import pytest

from tests.client.cli.shell import PODIUM, on_terminal, podium

ARM = json.dumps({"name": "a", "run_config": {"name": "a"}, "status": "failed"})


@pytest.fixture
def filled(address: str, name: str) -> str:
    """Returns the name of an experiment with one arm."""
    podium("record", name, "-", stdin=ARM, address=address)
    return name


def arms(address: str, experiment: str) -> list[str] | None:
    """Returns the names of the existing arms, or None if there is no experiment."""
    with library.Client(address) as client:
        try:
            return [arm.name for arm in client.experiment(experiment).arms()]
        except library.NotFoundError:
            return None


def test_an_arm_and_an_experiment(address: str, filled: str) -> None:
    """`--yes` deletes an arm or an experiment without a question.

    If the experiment does not exist, the exit code is 1, or 0 with `--allow-missing`.
    """
    done = podium("delete", filled, "a", "--yes", address=address)
    assert done == (0, f"arm 'a' of '{filled}' is deleted; revision 3\n", "")
    assert arms(address, filled) == []
    done = podium("delete", filled, "--yes", "--json", address=address)
    assert done == (0, '{"revision": 4}\n', "")
    assert arms(address, filled) is None
    done = podium("delete", filled, "--yes", address=address)
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("(EXPERIMENT_NOT_FOUND)\n")
    done = podium("delete", filled, "--yes", "--allow-missing", address=address)
    assert done == (0, f"experiment '{filled}' is gone; revision 4\n", "")


def test_delete_asks_on_a_terminal(address: str, filled: str) -> None:
    """On a terminal, `podium delete` asks. The question says how many arms are deleted.

    Only the answers `y` and `yes` delete.
    """
    question = f"Delete experiment '{filled}' with 1 arm? [y/N] "
    done = on_terminal("delete", filled, address=address, answer="n\n")
    assert done == (1, f"{question}n\npodium: nothing was deleted\n", "")
    assert on_terminal("delete", filled, address=address, answer="\x04").code == 1
    assert on_terminal("delete", filled, address=address, stop=signal.SIGINT).code == 130
    assert arms(address, filled) == ["a"]
    done = on_terminal("delete", filled, "a", address=address, answer="y\n")
    assert done.out.startswith(f"Delete arm 'a' of '{filled}', without rows? [y/N] y\n")
    assert arms(address, filled) == []
    assert on_terminal("delete", filled, address=address, answer="yes\n").code == 0
    assert arms(address, filled) is None


def test_without_an_input(address: str, filled: str) -> None:
    """If stdin is closed, the command says that it needs --yes."""
    command = shlex.join([*PODIUM, "delete", filled, "--address", address])
    done = subprocess.run(
        ["/bin/sh", "-c", f"{command} <&-"],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "--yes" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_question_about_an_unknown_arm(address: str) -> None:
    """`podium delete` asks no question about an arm that does not exist. Its exit code is 1."""
    done = on_terminal("delete", "sweep", "nope", address=address)
    assert (done.code, "[y/N]" in done.out) == (1, False)
