"""Tests of the exact text that commands write, and of the lines of `podium watch`."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
from podium import ArmResult, ArmSummary, EvalResult, Limits, RunConfig, Series, Server
from podium._model.recording import RecordResult
from podium._model.watching import (
    WatchedArm,
    WatchedEval,
    WatchedSeries,
    WatchMarker,
    WatchRemoval,
    WatchUpdate,
)
from podium.cli import _check_files
from podium.cli._console import Console
from podium.cli._exits import Exit
from podium.cli._table import columns_of, table
from podium.cli.commands import curve, watch
from podium.curves import curves_of

from tests.client.cli.direct import run


def test_json_has_a_line_for_each_item(capsys: pytest.CaptureFixture[str]) -> None:
    """With --json, each item of a list is a line of its own, and a single result is one line."""
    console = Console(as_json=True)
    console.json_list([1, {"a": "\x1b"}])
    assert capsys.readouterr().out == '[\n1,\n{"a": "\\u001b"}\n]\n'
    console.json_list([])
    console.recorded(RecordResult(3, 2), "done")
    assert capsys.readouterr().out == '[]\n{"revision": 3, "changed_events": 2}\n'
    Console(as_json=False).recorded(RecordResult(3, 2), "a\x1bb")
    assert capsys.readouterr().out == "a\\x1bb; revision 3\n"


def test_fields_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    """Fields without a text are left out. Each line of a text is indented like its first line."""
    fields = [("a", "x"), ("long label", "y\n\nz\x1b"), ("the longest label", "")]
    Console(as_json=False).fields(fields)
    assert capsys.readouterr().out == (
        f"  a           x\n  long label  y\n{' ' * 14}\n{' ' * 14}z\\x1b\n"
    )


def test_tables_with_long_texts(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long text is in the last column if the terminal is wide enough.

    Otherwise it is wrapped below its row, and never cut off.
    """
    rows, headers = [("a", "1", "long text-that wraps"), ("b", "22", "c")], ("A", ">N", "~TEXT")
    console = Console(as_json=False)
    for width in (None, 27):
        monkeypatch.setattr(Console, "width", width)
        console.table_with_texts(rows, *headers)
        assert capsys.readouterr().out == ("A   N  TEXT\na   1  long text-that wraps\nb  22  c\n")
    monkeypatch.setattr(Console, "width", 16)
    console.table_with_texts(rows, *headers)
    assert capsys.readouterr().out == (
        "A   N\na   1\n    long\n    text-that\n    wraps\nb  22\n    c\n"
    )
    assert console.table(rows, *headers)
    assert not console.table([], *headers)


def test_long_columns_are_narrowed_first() -> None:
    """In a narrow terminal, columns of long texts shrink first, to at least 12 characters.

    If that is not enough, they are left out, and the other columns shrink to at least 8.
    """
    columns = columns_of([["a" * 20, "b" * 20]], "A", "~B")
    assert list(table(columns, 34))[1] == f"{'a' * 20}  {'b' * 11}…"
    assert list(table(columns, 33)) == [f"{'A':20}  …", "a" * 20]
    assert list(table(columns, 11))[1] == f"{'a' * 7}…"
    two = columns_of([["a" * 20, "c" * 20]], "A", "C")
    assert list(table(two, 18))[1] == f"{'a' * 7}…  {'c' * 7}…"
    assert list(table(two, 9))[1] == f"{'a' * 7}…  {'c' * 7}…"


def test_progress_on_a_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Progress is updated within one line of the terminal. A message after it begins a new line."""
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    console = Console(as_json=False)
    console.progress(1, 2, "x")
    console.note("m")
    console.note("n")
    assert capsys.readouterr() == ("", "\r1 of 2 x\npodium: m\npodium: n\n")
    console.progress(2, 2, "x")
    assert capsys.readouterr() == ("", "\r2 of 2 x\n")
    console.note("o")
    assert capsys.readouterr() == ("", "podium: o\n")


def test_a_chart_is_as_wide_as_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chart of curves is as wide as the terminal, or 80 columns wide without a terminal."""
    rows = [EvalResult("val", metrics={"acc": step}, step=step) for step in range(100)]
    found = curves_of([ArmResult("a", RunConfig("a"), "running", evals=rows)], "val.acc")
    for width, columns in ((50, 50), (None, 80)):
        monkeypatch.setattr(Console, "width", width)
        curve._show(found, Console(as_json=False), by_group=False)
        lines = capsys.readouterr().out.split("\n\n")[0].splitlines()
        assert max(map(len, lines)) == columns


def test_a_question(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A question is written to stderr, not to the output.

    If the answer does not end with a line break, one is written after the question.
    """
    for answer, end in (("y\n", ""), ("", "\n"), ("y", "\n")):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(readline=lambda a=answer: a))
        Console(as_json=False).ask("Delete\x1b?")
        assert capsys.readouterr() == ("", f"Delete\\x1b? [y/N] {end}")


def _update(marker: WatchMarker | None) -> WatchUpdate:
    summary = ArmSummary("a", RunConfig("c"), "running", {"loss": 1.0, "lr": 2.0})
    return WatchUpdate(
        is_reset=True,
        removals=[WatchRemoval("b"), WatchRemoval("a", "v", 0), WatchRemoval("a", "v")],
        arms=[WatchedArm(0, summary, {}, None)],
        evals=[
            WatchedEval("a", 0, EvalResult("v", metrics={"n": 2, "m": 1}, step=0)),
            WatchedEval("a", 1, EvalResult("t", metrics={"m": 3})),
        ],
        series=[WatchedSeries("a", 0, [Series("loss", [0, 1], [5, 6]), Series("lr", [1], [7])])],
        marker=marker,
    )


def test_the_lines_of_an_update() -> None:
    """`podium watch` prints each change as a line with its revision.

    If a metric is given, other metrics are left out.
    """
    changes = [
        "the state is shown from the beginning",
        "b removed",
        "a v at step 0 removed",
        "a v removed",
        "a running loss=1  lr=2",
        "a v@0 m=1  n=2",
        "a t@post m=3",
        "a step 0 loss=5",
        "a step 1 loss=6  lr=7",
    ]
    assert list(watch._lines(_update(WatchMarker(7, "x")), None)) == [
        f"revision 7: {each}" for each in changes
    ]
    assert list(watch._lines(_update(None), None)) == changes
    for metric, shown in (
        ("v.m", ["a running", "a v@0 m=1"]),
        ("m", ["a running", "a v@0 m=1", "a t@post m=3"]),
        ("loss", ["a running loss=1"]),
    ):
        assert list(watch._lines(_update(None), metric))[4:-2] == shown


def test_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    """If a folder does not exist, the disk of its nearest existing parent is checked."""
    for folder in (tmp_path, tmp_path / "a", tmp_path / "a" / "b"):
        assert _check_files._existing(folder) == tmp_path


def test_the_columns_of_series(capsys: pytest.CaptureFixture[str]) -> None:
    """`podium series` sorts columns by key. A key without a value at a step has an empty cell."""
    found = {"b": Series("b", [2, 1], [0.5, 0.1234567]), "a": Series("a", [2], [3])}
    arm = SimpleNamespace(all_series=lambda *_, **__: found)
    client = SimpleNamespace(arm=lambda *_: arm)
    assert run("series e a", client) == Exit.OK
    assert capsys.readouterr().out == "STEP  a         b\n   1     0.123457\n   2  3       0.5\n"
    assert run("series e a --json", client) == Exit.OK
    shown = json.loads(capsys.readouterr().out)
    assert [(each["step"], list(each["metrics"])) for each in shown] == [
        (1, ["b"]),
        (2, ["a", "b"]),
    ]


def test_a_curve_that_ends_with_nan(capsys: pytest.CaptureFixture[str]) -> None:
    """The table of `podium curve` shows NaN for a curve whose last value is NaN."""
    rows = [
        EvalResult("val", metrics={"acc": each}, step=n) for n, each in enumerate((1, math.nan))
    ]
    found = curves_of([ArmResult("a", RunConfig("a"), "running", evals=rows)], "val.acc")
    curve._show(found, Console(as_json=False), by_group=False)
    assert capsys.readouterr().out.splitlines()[-1].split()[:4] == ["a", "a", "1", "NaN"]


def test_the_limits_of_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    """`podium server` prints numbers above 999 with commas between thousands."""
    found = Server("1.0", "s", Limits(call_events=2_000))
    assert run("server", SimpleNamespace(address="h:1", server=lambda: found)) == Exit.OK
    first, header, *limits = capsys.readouterr().out.splitlines()
    assert (first, header.split()) == ("podium 1.0 on h:1, store s", ["LIMIT", "MOST"])
    assert ["call_events", "2,000"] in [line.split() for line in limits]
