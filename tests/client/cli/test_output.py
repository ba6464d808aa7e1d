"""Tests of what commands write: lines, tables, documents and files."""

import contextlib
import json
import math
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import podium
import pytest
from podium._model.recording import KeptField, RecordResult
from podium._model.score_matrix import ScoreColumn, ScoredArm, ScoreMatrix
from podium._values.clean_text import clean
from podium.cli import _live_table
from podium.cli._columns import cells, sorted_arms
from podium.cli._console import Console
from podium.cli._documents import Heading, Picture, Table, Text, as_html, as_markdown
from podium.cli._exits import CommandError, Exit
from podium.cli._outboxes import OutboxView
from podium.cli._output import new_file
from podium.cli._table import columns_of, fits, table

from tests.client.cli.direct import run
from tests.each import each

# ---- Output --------------------------------------------------------------------------------------


@each("sign", ["\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u2028", "\u202e", "\u2066", "\u2069"])
def test_characters_that_control_a_terminal(sign: str) -> None:
    """Characters that control a terminal are escaped, so that no recorded text moves the cursor.

    Other characters are kept.
    """
    shown = clean(f"a{sign}b")
    assert sign not in shown
    assert shown.startswith("a\\")
    assert clean("aé → 漢 …") == "aé → 漢 …"


@pytest.mark.parametrize(
    ("answer", "is_yes"),
    [("y\n", True), (" YES \n", True), ("\n", False), ("", False), ("n\n", False), ("yo\n", False)],
)
def test_the_answer_to_a_question(
    answer: str, *, is_yes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only `y` and `yes` mean yes, so that nothing is deleted by accident."""
    monkeypatch.setattr("sys.stdin", SimpleNamespace(readline=lambda: answer))
    assert Console(as_json=False).ask("Delete?") is is_yes


def test_progress_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a terminal, progress is printed once for each tenth, so that a log stays short."""
    console = Console(as_json=False)
    for done in range(1, 1_001):
        console.progress(done, 1_000, "events")
    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), lines[0], lines[-1]) == (
        10,
        "100 of 1,000 events",
        "1,000 of 1,000 events",
    )


def test_lists_and_numbers_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Lists are written as JSON, even if they are empty. A value that JSON lacks is an error."""
    console = Console(as_json=True)
    for values in ([], [1], [1, {"a": "é"}]):
        console.json_list(values)
        assert json.loads(capsys.readouterr().out) == values
    with pytest.raises(ValueError, match="Out of range float"):
        console.json(math.nan)


def test_a_document_as_html() -> None:
    """In HTML, all recorded texts are escaped, and empty columns are left out."""
    table = Table((">N<", "~A", "EMPTY"), [["1", "<i>", ""], ["", "c\x1b", ""]])
    picture = Picture("<?xml version='1.0'?>\n<svg></svg>\n")
    text = as_html("<t>", [Heading("<h>"), Text("<x>\n&", "<l>"), table, picture])
    assert "<figure><svg></svg>\n</figure>" in text
    for sign in ("<t>", "<h>", "<x>", "<l>", "N<", "<i>", "EMPTY", "~A"):
        assert sign not in text.partition("</head>")[2].replace("<tr>", "").replace("<thead>", "")
    assert '<th class="number">N&lt;</th><th>A</th>' in text
    assert "<b>&lt;l&gt;:</b> &lt;x&gt;<br>&amp;" in text
    assert '<tr><td class="number"></td><td>c\\x1b</td></tr>' in text


@each("sign", ["\\", "`", "*", "_", "[", "]", "|", "~", "$"])
def test_a_document_as_markdown(sign: str) -> None:
    """In recorded texts, the special characters of Markdown, mentions and HTML are escaped."""
    table = Table((f">H{sign}", "B"), [[f"c{sign}", "@me <b>"]])
    text = as_markdown(f"t{sign}", [Heading(f"h{sign}"), Text(f"x{sign}", f"l{sign}"), table])
    for part in "thxlHc":
        assert f"{part}\\{sign}" in text
    assert "&#64;me &lt;b&gt; |" in text
    assert "| ---: | --- |" in text
    assert as_markdown("# t", [Text("- a\n+ b\nc-d")]).endswith("\\- a<br>\\+ b<br>c-d\n")


def test_a_file_appears_when_it_is_complete(tmp_path: Path) -> None:
    """A file is replaced once its new content is complete.

    After an error, the old file is unchanged, and no other file is left beside it.
    """
    path = tmp_path / "out.md"
    path.write_text("old")
    with contextlib.suppress(KeyError), new_file(str(path)) as part:
        assert part.parent == tmp_path
        part.write_text("new")
        raise KeyError
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]
    with new_file(str(path)) as part:
        part.write_text("new")
    assert [each.read_text() for each in tmp_path.iterdir()] == ["new"]
    with pytest.raises(CommandError, match="cannot be written") as raised, new_file("/no/a"):
        pass
    assert raised.value.code == Exit.FAILED


# ---- Tables --------------------------------------------------------------------------------------


class _Arm:
    def __init__(self, name: str, **values: object) -> None:
        self.name = name
        self._record = {f"config.{key}": value for key, value in values.items()}

    def record(self) -> dict[str, Any]:
        return self._record


def test_arms_in_the_order_of_a_column() -> None:
    """NaN and arms without a value come last, even if the order is reversed.

    In the normal order, numbers come before texts.
    """
    values = ["x", 2, math.nan, None, 1.5, "a", 2.0, math.nan]
    arms: Any = [_Arm(f"{n}", k=value) for n, value in enumerate(values)]
    for is_reversed, order in ((False, "41650273"), (True, "05164273")):
        found = sorted_arms(arms, "config.k", is_reversed=is_reversed)
        assert "".join(arm.name for arm in found) == order


def test_cells_of_a_record() -> None:
    """A cell shows a bool as in JSON, and a list as words. It is empty if the value is missing."""
    record_ = {"a": True, "b": ["x", 1], "c": 0.1234567, "d": None, "e": 0}
    assert cells(record_, "abcdef") == ["true", "x 1", "0.123457", "", "0", ""]


@each(
    ("moment", "shown"),
    [("", ""), ("2026-01-02 03:04:05Z", "2026-01-02"), ("TODAY 03:04:05Z", "03:04:05Z")],
)
def test_a_moment_of_today_is_shown_as_its_time(moment: str, shown: str) -> None:
    """A moment of today is shown as its time, and any other moment as its date."""
    assert _live_table._today(moment.replace("TODAY", str(datetime.now(UTC).date()))) == shown


def test_the_title_of_a_live_table() -> None:
    """The title of a live table counts the arms that are below the screen.

    If the server has not answered for more than 12 seconds, a line says so.
    """
    arms = dict.fromkeys(map(str, range(5)))
    state: Any = SimpleNamespace(revision=7, arms=arms, experiment=podium.Experiment("x" * 99))
    title = _live_table._title(state, 3, 50)
    assert len(title) == 50
    assert title.endswith("…, revision 7, 5 arms, 2 more below")
    assert "below" not in _live_table._title(state, 5, 50)
    assert [_live_table._lag(seconds) for seconds in (12.0, 12.6)] == [
        "",
        "no answer from the server for 13 s, ",
    ]


@pytest.mark.parametrize(("width", "row"), [(None, "aaaa  bbbb"), (10, "aaaa  bbbb")])
def test_a_table_that_just_fits(width: int | None, row: str) -> None:
    """No cell is shortened if the table is exactly as wide as the terminal."""
    columns = columns_of([["aaaa", "bbbb"]], "A", "B")
    assert list(table(columns, width))[1] == row
    assert fits(columns, 10)
    assert not fits(columns, 9)


def test_a_table_that_is_one_character_too_wide() -> None:
    """If a table is one character too wide, its widest column becomes one character narrower."""
    columns = columns_of([["a" * 20, "b" * 12]], "A", "B")
    assert list(table(columns, 33))[1] == f"{'a' * 18}…  {'b' * 12}"
    assert list(table(columns, 34))[1] == f"{'a' * 20}  {'b' * 12}"


def test_tabs_become_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    """Tabs in a string become spaces, and are not shown as control characters."""
    Console(as_json=False).fields([("error", "a\tb\n\tc")])
    assert capsys.readouterr().out == f"  error  a       b\n{'':17}c\n"


# ---- Outboxes ------------------------------------------------------------------------------------


def _stream(name: str, *, delivered: int, waiting: int, is_recording: bool = False) -> Any:
    return SimpleNamespace(
        folder=Path(name), delivered=delivered, waiting=waiting, is_recording=is_recording
    )


def _view(*streams: Any) -> OutboxView:
    return OutboxView(Path("o"), "h:1", None, is_sending=False, streams=[*streams], damaged={})


@each(
    ("waiting", "is_recording", "needs_sender"),
    [(1, True, True), (1, False, True), (0, False, True), (0, True, False)],
)
def test_what_needs_a_sender(waiting: int, *, is_recording: bool, needs_sender: bool) -> None:
    """A stream needs a sender if it has waiting events, or if its process has ended.

    A process that has ended may have recorded no end of its arm.
    """
    view = _view(_stream("s", delivered=3, waiting=waiting, is_recording=is_recording))
    assert view.needs_sender is needs_sender


def test_how_many_of_earlier_events_still_wait() -> None:
    """Of the events that waited earlier, those that still wait are counted.

    Events that were recorded since then are not counted, and neither are new streams.
    """
    before = _view(
        _stream("a", delivered=2, waiting=3),
        _stream("b", delivered=0, waiting=4),
        _stream("c", delivered=1, waiting=1),
    )
    now = _view(
        _stream("a", delivered=4, waiting=9),
        _stream("c", delivered=7, waiting=1),
        _stream("d", delivered=0, waiting=5),
    )
    assert (now.left_of(before), before.left_of(before)) == (1, 8)


def test_what_a_declaration_leaves_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    """`podium declare` names each field that kept its recorded value."""
    client = MagicMock()
    for kept, note in (
        ([], ""),
        (["parent"], "podium: unchanged: parent; --overwrite changes them\n"),
        (["a", "b"], "podium: unchanged: a, b; --overwrite changes them\n"),
    ):
        fields = tuple(KeptField(path, 0) for path in kept)
        client.experiment.return_value.declare.return_value = RecordResult(3, 1, kept_fields=fields)
        assert run("declare e", client) == Exit.OK
        assert capsys.readouterr().err == note


def test_columns_stand_before_scores(capsys: pytest.CaptureFixture[str]) -> None:
    """In the table of `podium scores`, the columns of --column come before the metrics."""
    client = MagicMock()
    arm = podium.ArmSummary("a", podium.RunConfig("a", seed=7), "completed")
    experiment = client.experiment.return_value
    experiment.arms.return_value = [arm]
    experiment.scores.return_value = ScoreMatrix(
        [ScoredArm("a", "completed")], [ScoreColumn("m", [0.5])], 3
    )
    assert run("scores e m --column status", client) == Exit.OK
    assert capsys.readouterr().out.split() == ["ARM", "status", "m", "a", "completed", "0.5"]
