"""The harness sees what a runner gets wrong, leaves out or makes up."""

import json
from dataclasses import replace

import pytest

from tests.conformance import run
from tests.conformance.judging import Cell, judge
from tests.conformance.languages import LANGUAGES, PROJECT
from tests.conformance.plans import vector_cells
from tests.conformance.planted import defects, planted
from tests.conformance.table import table

_ASKED = [Cell("reads.json", "pure", "a"), Cell("reads.json", "wire", "a")]


def _line(cell: Cell, *, ok: bool = True, detail: str = "") -> str:
    return json.dumps({**cell._asdict(), "ok": ok, "detail": detail}) + "\n"


def test_what_was_asked_and_agrees_is_counted() -> None:
    """A runner that reports every cell once, in any order, has no complaint against it."""
    verdict = judge(_line(_ASKED[1]) + "\n" + _line(_ASKED[0]), _ASKED)
    assert verdict.complaints == []
    assert verdict.agreed == {("reads.json", "pure"): 1, ("reads.json", "wire"): 1}
    assert verdict.asked == verdict.agreed


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("", "reads.json, wire, 'a': not reported"),
        (_line(_ASKED[1], ok=False, detail="1 is 2"), "reads.json, wire, 'a': 1 is 2"),
        (_line(_ASKED[1], ok=False), "reads.json, wire, 'a': disagrees"),
        (_line(_ASKED[1]) * 2, "reads.json, wire, 'a': reported 2 times"),
        ("panic\n", "not a report: panic"),
        ('{"file": "reads.json"}\n', 'not a report: {"file": "reads.json"}'),
        (_line(Cell("reads.json", "wire", "b")), "reads.json, wire, 'b': was not asked for"),
    ],
)
def test_what_is_wrong_is_named(more: str, complaint: str) -> None:
    """A missing, disagreeing, doubled, unreadable or unknown report is a complaint."""
    verdict = judge(_line(_ASKED[0]) + more, _ASKED)
    assert complaint in verdict.complaints
    assert verdict.agreed == {("reads.json", "pure"): 1}


def test_every_case_is_asked_for() -> None:
    """A runner has to report every case of the reads both ways, and of the writes over the wire."""
    asked = vector_cells()
    assert Cell("reads_numbers.json", "pure", "-0.0 keeps its sign") in asked
    assert Cell("reads_numbers.json", "wire", "-0.0 keeps its sign") in asked
    assert {cell.way for cell in asked if cell.file.startswith("writes")} == {"wire"}
    assert len(asked) >= 253


def test_the_python_client_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    """The row of the Python client is green, and the table says so."""
    assert run.main(["python"]) == 0
    printed = capsys.readouterr().out
    assert "reads_steps.json wire         16\n" in printed
    assert "exchange read                 5\n" in printed


@pytest.mark.parametrize(("arguments", "code"), [([], 1), (["--all"], 1)])
def test_a_language_without_its_toolchain_is_named(
    arguments: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where nothing can be run, the missing command is named and nothing passes."""
    absent = replace(LANGUAGES[0], name="cobol", toolchain=(("no-such-compiler", "--version"),))
    monkeypatch.setattr(run, "LANGUAGES", (absent,))
    assert run.main(arguments) == code
    assert "cobol was not run: no-such-compiler --version not found" in capsys.readouterr().out


def test_a_runner_that_fails_is_red(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A runner that dies makes the run fail, with what it said last."""
    broken = replace(LANGUAGES[0], runner=("sh", "-c", "echo so long >&2; exit 3"), example=())
    monkeypatch.setattr(run, "LANGUAGES", (broken,))
    assert run.main([]) == 1
    printed = capsys.readouterr().out
    assert "the runner ended with 3: so long" in printed
    assert "0 of 16" in printed


def test_every_planted_defect_can_be_planted() -> None:
    """The text of each listed defect is there exactly once, and is back afterwards."""
    for defect in defects():
        file = PROJECT / defect.file
        before = file.read_bytes()
        with planted(defect):
            assert file.read_bytes() != before
        assert file.read_bytes() == before


def test_planted_defects_turn_cells_red_that_are_asked_for() -> None:
    """Each listed defect names cells of the table; every language has one of each kind."""
    cells = {f"{cell.file} {cell.way}" for cell in vector_cells()}
    for language in LANGUAGES:
        for way in ("pure", "wire"):
            assert [d for d in defects() if (d.language, d.name[:4]) == (language.name, way)]
    for defect in defects():
        assert defect.red
        assert set(defect.red) <= cells


def test_a_table_has_a_column_for_each_language() -> None:
    """Cells stand under their language; what was not asked for is left empty."""
    drawn = table({"go": {"reads pure": "16"}, "c": {"reads wire": "3 of 16"}})
    assert drawn == "            go  c\nreads pure  16\nreads wire      3 of 16"
