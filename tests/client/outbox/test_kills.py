"""Tests of kills: a record is kept if `append` returned before its process was killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from podium._outbox import StreamReader, streams, sweep
from podium._outbox import reader as reader_module

from tests.client.outbox.appending import payload_of
from tests.client.outbox.places import all_of, new_outbox

_PROJECT = Path(__file__).parents[3]
_KILLS = 25


def _killed(outbox: Path, seed: int, after: int, seconds: float = 0) -> tuple[Path, list[int]]:
    """Kills a process `seconds` after its first `after` appends.

    Returns the folder of its stream, and the sequences that it printed.
    """
    command = (sys.executable, "-m", "tests.client.outbox.appending", str(outbox), str(seed))
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_PROJECT) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().decode().strip())
        said = [int(process.stdout.readline()) for _ in range(after)]
        time.sleep(seconds)
        process.kill()
        said += [int(line) for line in process.stdout.read().splitlines()]
    assert process.returncode == -signal.SIGKILL
    return folder, said


@pytest.mark.slow
def test_records_are_whole_and_in_order_after_a_kill(tmp_path: Path) -> None:
    """After a kill, each record whose `append` had returned is there once, unchanged, in order."""
    outbox, random = new_outbox(tmp_path), Random(7)  # noqa: S311 - no secret
    for seed in range(_KILLS):
        folder, said = _killed(outbox, seed, random.randint(0, 300), random.uniform(0, 0.002))
        assert said == list(range(1, len(said) + 1))
        reader = StreamReader(folder)
        assert not reader.writer_lives()
        found = all_of(reader)
        # The last record may have been appended, although its sequence was not printed.
        assert len(said) <= len(found) <= len(said) + 1
        expected = [(number, payload_of(seed, number)) for number in range(1, len(found) + 1)]
        assert found == expected
    assert len(streams(outbox)) == _KILLS


def test_a_stream_is_removed_some_time_after_its_writer_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A delivered stream of a killed writer is removed only after its lock was free for a while."""
    monkeypatch.setattr(reader_module, "_SURE_SECONDS", 0.2)
    folder, _ = _killed(new_outbox(tmp_path), 1, 20)
    reader = StreamReader(folder)
    reader.note_delivered(all_of(reader)[-1][0])
    assert not reader.is_finished()
    time.sleep(0.25)
    assert reader.is_finished()
    assert reader.remove()
    assert not folder.exists()


def test_a_stream_of_a_process_that_was_killed_while_making_it(tmp_path: Path) -> None:
    """If a process is killed while it makes a stream, the folder is not listed as a stream.

    `sweep` deletes the folder after an hour.
    """
    outbox = new_outbox(tmp_path)
    young, old = outbox / ".young", outbox / ".old"
    for folder in (young, old):
        folder.mkdir()
        (folder / "lock").touch()
    an_hour_ago = time.time() - 3_700
    os.utime(old, (an_hour_ago, an_hour_ago))
    sweep(outbox)
    assert streams(outbox) == []
    assert young.exists()
    assert not old.exists()
    assert (outbox / "outbox.json").exists()
