"""Tests of `podium sync` and `podium outbox` with a path that is not an outbox."""

from pathlib import Path

import pytest

from tests.client.cli.shell import podium


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("sync", "{} is not a folder; give the folder of PODIUM_OUTBOX"),
        ("outbox", "'{}' is neither an action nor a folder; `podium outbox` lists events"),
        ("outbox retry", "{} is not a folder; give the folder of PODIUM_OUTBOX"),
    ],
)
def test_a_folder_that_is_no_outbox(tmp_path: Path, command: str, why: str) -> None:
    """A path that is not a folder is a usage error.

    If a folder contains no outbox, the error says so.
    """
    done = podium(*command.split(), str(tmp_path / "none"), address=None)
    assert (done.code, done.out) == (2, "")
    assert why.format(tmp_path / "none") in done.err
    assert "contains no outbox" in podium(*command.split(), str(tmp_path), address=None).err


def test_two_words_that_are_no_folder(tmp_path: Path) -> None:
    """If the action before a folder is misspelt, the error names the action."""
    done = podium("outbox", "retyr", str(tmp_path))
    assert (done.code, "'retyr' is not an action" in done.err) == (2, True)
