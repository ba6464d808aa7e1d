"""The conformance tests find each wrong answer of a client, and each missing answer of a runner."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.conformance import run
from tests.conformance.judging import (
    VECTORS,
    Check,
    Session,
    checks,
    exchange,
    http_checks,
)
from tests.conformance.languages import LANGUAGES, PROJECT, PROTOCOLS
from tests.conformance.planted import defects, planted
from tests.conformance.runner import running
from tests.conformance.running import Row, hold
from tests.conformance.table import table
from tests.each import each

_READS = Path(PROJECT, "tests/vectors/reads_steps.json")
_HTTP = [check for file in VECTORS for name in PROTOCOLS for check in http_checks(file, name)]
_CELLS = {
    f"{check.file} {check.way}"
    for check in (*(check for file in VECTORS for check in checks(file)), *_HTTP)
}


def _pure() -> list[Check]:
    return [check for check in checks(_READS) if check.way == "pure"]


def _held(script: str) -> Row:
    """Runs the checks that need no server. Their runner is a shell script."""
    language = replace(LANGUAGES[0], name="sh", runner=("sh", "-c", script))
    row = Row(language)
    with running(language) as runner:
        hold(row, _pure(), Session("sh", runner, "nowhere:1"))
    return row


@each(
    ("script", "complaint"),
    [
        ("echo so long >&2; exit 3", "the runner ended with 3: so long"),
        ("while read -r line; do echo panic; done", "not an answer: panic"),
        ("while read -r line; do echo '{\"respond\": 1}'; done", "not an answer: {'respond': 1}"),
        (
            'while read -r line; do echo \'{"error": {"code": "ABORTED", "message": "no"}}\'; done',
            "AbortedError: no",
        ),
    ],
)
def test_a_runner_that_fails_is_red(script: str, complaint: str) -> None:
    """A runner that prints no response gets a complaint for each case."""
    row = _held(script)
    assert row.cells == {"reads_steps.json pure": "0 of 16"}
    assert len(row.complaints) == 16
    assert all(complaint in line for line in row.complaints)


def test_a_wrong_answer_is_red() -> None:
    """A client that always answers `nothing` is correct only where nothing is expected."""
    row = _held('while read -r line; do echo \'{"response": ""}\'; done')
    assert row.cells == {"reads_steps.json pure": "2 of 16"}
    name = "a post-training row answers before in-loop rows, wherever it stands"
    assert row.complaints[0].startswith(f"reads_steps.json, pure, '{name}': AssertionError: ")


def test_a_runner_that_cannot_be_started_is_red() -> None:
    """A runner that cannot be started gets a complaint with its name."""
    row = Row(replace(LANGUAGES[0], name="cobol", runner=("no-such-runner",)))
    with running(row.language) as runner:
        hold(row, _pure(), Session("cobol", runner, "nowhere:1"))
    assert row.cells == {"reads_steps.json pure": "0 of 16"}
    assert "no-such-runner" in row.complaints[0]


def test_every_case_is_tested_once() -> None:
    """Every case is tested once in each way in which files of its kind are tested."""
    asked = [check for file in VECTORS for check in checks(file)]
    named = {(check.file, check.way, check.case) for check in asked}
    assert len(named) == len(asked) >= 256
    assert ("reads_numbers.json", "pure", "-0.0 keeps its sign") in named
    assert ("reads_numbers.json", "wire", "-0.0 keeps its sign") in named
    ways = {(check.file.partition("_")[0], check.way) for check in asked}
    assert ways == {
        ("busy", "wire"),
        ("rank", "wire"),
        ("rank", "live"),
        ("curves.json", "live"),
        ("scores", "wire"),
        ("reads", "pure"),
        ("reads", "wire"),
        ("writes", "wire"),
        ("record", "wire"),
        ("watch", "wire"),
    }
    assert next(exchange("read", ["go"])).case == "exchange/go/small"


def test_every_http_protocol_is_tested() -> None:
    """Each protocol gets reads, rankings and writes. JSON gets only cases that it can express."""
    asked = [(check.file, check.way) for check in _HTTP]
    assert set(asked) == {
        (kind, name) for kind in ("reads", "rank", "writes") for name in PROTOCOLS
    }
    assert asked.count(("reads", "connect")) == 72
    negative_zero = "-0.0 keeps its sign"
    assert [check.way for check in _HTTP if check.case == negative_zero] == ["connect", "grpc-web"]


def test_a_defect_of_each_http_runner_is_planted() -> None:
    """Each language has a planted defect in its code for HTTP."""
    found = {one.language for one in defects() if one.name.startswith("http: ")}
    assert found == {language.name for language in LANGUAGES}


@pytest.mark.parametrize(("arguments", "code"), [([], 1), (["--all"], 1)])
def test_a_language_without_its_toolchain_fails_the_run(
    arguments: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """If no toolchain is installed, the run names the missing command and fails."""
    absent = replace(LANGUAGES[0], name="cobol", toolchain=(("no-such-compiler", "--version"),))
    monkeypatch.setattr(run, "LANGUAGES", (absent,))
    assert run.main(arguments) == code
    assert "cobol was not run: no-such-compiler --version not found" in capsys.readouterr().out


@pytest.mark.slow
def test_a_red_language_fails_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a runner ends early, the run fails, and the table shows that no case succeeded."""
    broken = replace(LANGUAGES[0], runner=("sh", "-c", "exit 3"), example=())
    monkeypatch.setattr(run, "LANGUAGES", (broken,))
    assert run.main([]) == 1
    assert "0 of 16" in capsys.readouterr().out


def test_every_planted_defect_can_be_planted(tmp_path: Path) -> None:
    """The text of each defect occurs exactly once in its file, and is restored afterwards."""
    for defect in defects():
        file = tmp_path / defect.file
        file.parent.mkdir(parents=True, exist_ok=True)
        before = (PROJECT / defect.file).read_bytes()
        file.write_bytes(before)
        with planted(defect, tmp_path):
            assert file.read_bytes() != before
        assert file.read_bytes() == before


def test_planted_defects_name_cells_of_the_table() -> None:
    """Each defect names cells of the table, and each language has a defect of each kind."""
    for language in LANGUAGES:
        for way in ("pure", "wire"):
            assert [d for d in defects() if (d.language, d.name[:4]) == (language.name, way)]
    for defect in defects():
        assert defect.red
        assert set(defect.red) <= _CELLS


@pytest.mark.parametrize("file", ["record_attempt.json", "watch_stream.json"])
def test_each_language_has_a_defect_of_one_cell(file: str) -> None:
    """Each language has a planted defect for which only the cell of this file must fail."""
    found = {one.language for one in defects() if one.red == (f"{file} wire",)}
    assert found == {language.name for language in LANGUAGES}


def test_a_table_has_a_column_for_each_language() -> None:
    """Cells are in the column of their language. A cell that was not run is empty."""
    drawn = table({"go": {"reads pure": "16"}, "c": {"reads wire": "3 of 16"}})
    assert drawn == "            go  c\nreads pure  16\nreads wire      3 of 16"
