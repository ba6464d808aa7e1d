"""Tests of output to a terminal, closed pipes, full disks, Ctrl-C and unresponsive servers."""

import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from podium._values.text_width import width_of
from podium.cli._table import Column, columns_of, cut, table

from tests import zygote
from tests.client.cli.shell import PODIUM, on_terminal, podium, process
from tests.client.client.broken import tcp_server
from tests.sparse import sparse

WHOLE = (
    "ARM  STATUS     GROUP  EVALS  EVAL METRICS              ERROR            TRAINING METRICS",
    "r1   completed  small      5  acc=0.333333  ppl=nan                      train/loss=1",
)


@pytest.mark.parametrize(
    ("columns", "header", "row"),
    [
        (90, *WHOLE),
        (
            70,
            "ARM  STATUS     GROUP  EVALS  EVAL METRICS  ERROR         TRAINING ME…",
            "r1   completed  small      5  acc=0.33333…                train/loss=1",
        ),
        (
            60,
            "ARM  STATUS     GROUP  EVALS  EVAL METRICS   ERROR         …",
            "r1   completed  small      5  acc=0.333333…",
        ),
        (40, "ARM  STATUS     GROUP  EVALS  …", "r1   completed  small      5"),
        (24, "ARM  STATUS    GROUP  EVALS  …", "r1   complet…  small      5"),
    ],
)
def test_a_table_fits_the_terminal(address: str, columns: int, header: str, row: str) -> None:
    """In a narrow terminal, the columns with long texts are cut first.

    If that is not enough, these columns are left out, and `…` is shown in their place. Finally,
    other columns are cut.
    """
    done = on_terminal("arms", "sweep", address=address, columns=columns)
    assert done.out.splitlines()[:2] == [header, row]
    assert "\x1b" not in done.out


def test_a_long_value_is_wrapped(address: str) -> None:
    """A long value continues in the next line, below its own beginning."""
    done = on_terminal("show", "sweep", "r4", address=address, columns=40)
    assert '  config algorithm  {"kind": "sft",\n                    "params":' in done.out
    assert max(map(len, done.out.splitlines())) <= 40


def test_wide_characters_are_aligned() -> None:
    """A character of two cells counts as two, and a combining character counts as none."""
    rows = [("日本", "1"), ("e\u0301", "10"), ("", "")]
    columns = columns_of(rows, "NAME", ">N")
    assert list(table(columns, None)) == ["NAME   N", "日本   1", "e\u0301     10", ""]
    assert (width_of("日本"), cut("日本語", 4), cut("日本語", 6)) == (4, "日…", "日本語")


def test_columns_without_cells_are_left_out() -> None:
    """A column that is empty in all rows is not shown. Without rows there is no table."""
    assert columns_of([("a", "", "")], "A", "~B", ">C") == [Column("A", ["a"])]
    assert list(table(columns_of([], "A", "B"), 80)) == []


def test_progress_on_a_terminal(address: str, tmp_path: Path) -> None:
    """On a terminal, progress is one line that counts up."""
    file = tmp_path / "skipped.jsonl"
    file.write_text((json.dumps({"event": "skipped"}) + "\n") * 2001, encoding="utf-8")
    done = on_terminal("record", "sweep", str(file), address=address)
    assert done.out == (
        "\r1,000 of 2,001 events recorded\r2,000 of 2,001 events recorded"
        "\r2,001 of 2,001 events recorded\n2,001 events recorded, nothing changed; revision 4\n"
    )


@pytest.mark.parametrize("arguments", sparse([["arms", "sweep"], ["arms", "sweep", "--json"]]))
def test_a_closed_pipe_is_quiet(address: str, arguments: list[str]) -> None:
    """If the reader of the pipe has ended, as with `| head`, the command ends without a message."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [*PODIUM, *arguments, "--address", address]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk(address: str) -> None:
    """If the output cannot be written, an error is reported, and the command fails."""
    command = [*PODIUM, "arms", "sweep", "--address", address]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, check=False, timeout=120
        )
    assert done.returncode == 3
    assert done.stderr == b"podium: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("stream", sparse(["stdout", "stderr", "stdin"]))
def test_a_stream_that_is_closed(address: str, stream: str) -> None:
    """A command works even if its stdin, stdout or stderr is closed."""
    number = ["stdin", "stdout", "stderr"].index(stream)
    script = f'exec "$0" -m podium score sweep r4 acc {number}>&-'
    done = subprocess.run(
        ["/bin/sh", "-c", script, PODIUM[0]],
        capture_output=True,
        env={**os.environ, "PODIUM_ADDRESS": address},
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (b"" if stream == "stdout" else b"1.3333333333333333\n")


def test_a_terminal_without_unicode(address: str, name: str) -> None:
    """If stdout accepts only ASCII, other characters are escaped, and JSON is still valid."""
    podium("declare", name, "--tag", "日本", address=address)
    line = ["experiments", "--prefix", name]
    done = process(*line, address=address, PYTHONIOENCODING="ascii")
    assert done.code == 0
    assert "\\u65e5\\u672c" in done.out
    done = process(*line, "--json", address=address, PYTHONIOENCODING="ascii")
    assert json.loads(done.out)[0]["tags"] == ["日本"]


def test_ctrl_c_is_quiet() -> None:
    """Ctrl-C during a call ends the command without a message."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with zygote.start(
            [*PODIUM, "--address", address, "experiments"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as command:
            connection, _ = silent.accept()
            command.send_signal(signal.SIGINT)
            assert command.communicate(timeout=120) == (b"", b"")
            connection.close()
        assert command.returncode == 130


def test_a_server_that_does_not_answer() -> None:
    """If the server does not answer, a command ends after its timeout.

    After a write, the error says that it is safe to send the write again.
    """
    with tcp_server(b"") as address:
        done = podium("experiments", "--timeout", "0.5", address=address)
        assert done == (3, "", f"podium: {address} did not answer within 0.5 s\n")
        done = podium("declare", "e", "--timeout", "0.5", address=address)
        assert (done.code, done.out) == (3, "")
        assert done.err == (
            f"podium: {address} did not answer within 0.5 s: whether it was stored is unknown, and "
            "it is safe to send it again\n"
        )
