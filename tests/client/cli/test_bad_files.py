"""Tests of `podium record` with invalid files: the error names the problem, and nothing is sent."""

import json
from pathlib import Path

import pytest

from tests.client.cli.shell import podium
from tests.each import each

SKIPPED = '{"event": "skipped"}\n'
EVAL = '{"event": "eval_recorded", "arm": "a", "eval_result": {"name": "v", "metrics": %s}}'
STARTED = '{"event": "arm_started", "run_config": {"name": "a"}, "attempt": %s}'
ARM = '{"name": "a", "run_config": {"name": "a"}, "status": "%s"}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "line 1: Expecting property name enclosed in double quotes at column 2"),
        ('{"event": skipped}', "line 1: Expecting value at column 11"),
        (SKIPPED + "\n{]\n", "line 3: Expecting property name enclosed in double quotes at column"),
        ('{\n"name": "a"\n"status": 1\n}', "line 3: Expecting ',' delimiter at column 1"),
        ('[{"event": "skipped"},\n3]', "item 2: an arm or event must be an object, not int"),
        ("3", "line 1: an arm or event must be an object, not int"),
        ("{}", 'line 1: expected an arm, which has the key "run_config", or an event, whose '),
        ('{"event": "eval"}', "line 1: event must be experiment_declared, arm_started, "),
        ('{"event": ["x"]}', "arm_recorded, experiment_concluded or skipped; not ['x']"),
        (SKIPPED + EVAL % '{"a": "x"}', "line 2: eval_recorded: eval_result: metrics['a'] must be"),
        (EVAL % '{"a": NaN}', 'NaN is not JSON: in metrics write "NaN", in other values {"$dou'),
        (EVAL % '{"a": -1e999}', "line 1: -1e999 is too large for a double"),
        (
            EVAL % f'{{"a": {"9" * 5000}}}',
            "line 1: a number of 5,000 digits is too large for a double",
        ),
        (EVAL % '{"a": 1, "a": 2}', "line 1: the key 'a' is given twice"),
        (EVAL % '{"\\ud800": 1}', "line 1: a string has an unpaired surrogate (such as "),
        ('{"event": "skipped", "arm": "a"}', "skipped: unknown key 'arm'; the keys are event_tim"),
        ('{"event": "eval_recorded", "arm": "a"}', "line 1: eval_recorded: eval_result is missing"),
        ('{"event": "skipped", "event_time": "soon"}', "Invalid isoformat string: 'soon'"),
        (
            '{"event": "arm_finished", "arm": "a", "status": "running"}',
            "arm_finished: status must be one of completed, failed, cancelled; not 'running'",
        ),
        (
            '{"event": "experiment_declared", "overwrite": 1}',
            "experiment_declared: overwrite must be true or false, not int",
        ),
        (
            STARTED % '{"id": "j", "order": 1}, "resume_step": 1, "restart": true',
            "arm_started: give resume_step, to resume, or restart, to start over; not both",
        ),
        (STARTED % '{"id": "j"}', "line 1: arm_started: attempt: order is missing"),
        (ARM % "done", "line 1: arm_recorded: arm_result: status must be one of pending, runn"),
        ('{"name": "a", "eval_count": 3}', "line 1: this is an arm without its rows, as `podium "),
    ],
)
def test_a_bad_file(tmp_path: Path, text: str, expected: str) -> None:
    """The error about an invalid file names the place and the problem. Nothing is recorded."""
    file = tmp_path / "bad.json"
    file.write_text(text, encoding="utf-8")
    done = podium("record", "e", str(file))
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"podium: {file}, ")
    assert expected in done.err
    assert done.err.endswith("; nothing was recorded\n")


def test_deep_nesting(tmp_path: Path) -> None:
    """JSON that is nested too deeply is rejected with an error that says so."""
    file = tmp_path / "deep.json"
    file.write_text("[" * 100_000, encoding="utf-8")
    done = podium("record", "e", str(file))
    assert done == (
        2,
        "",
        f"podium: {file}, line 1: the JSON is nested too deeply; nothing was recorded\n",
    )


def test_a_line_that_is_not_utf8() -> None:
    """If a line of standard input is not UTF-8, the error names this line."""
    done = podium("record", "e", "-", stdin=SKIPPED.encode() + b"\xff\n")
    assert done == (2, "", "podium: line 2: the text is not UTF-8; nothing was recorded\n")


@each("text", ["", "\n\n", "[]"])
def test_nothing_to_record(text: str) -> None:
    """An input without arms and events is an error, because it is probably a mistake."""
    done = podium("record", "e", "-", stdin=text)
    assert done == (2, "", "podium: standard input has nothing to record\n")


def test_an_experiment_without_a_file() -> None:
    """If the only argument is not a file, the error shows how to read standard input."""
    why = "there is no file my e; to record standard input: `podium record 'my e' -`"
    assert podium("record", "my e") == (2, "", f"podium: {why}\n")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """If a file is missing or is a folder, the error has the reason of the operating system."""
    for file, reason in [("none", "No such file or directory"), ("", "Is a directory")]:
        path = tmp_path / file
        done = podium("record", "e", str(path))
        assert done == (2, "", f"podium: {path} cannot be read: {reason}\n")


def test_a_list_of_arms_without_rows(address: str) -> None:
    """`podium record` rejects the output of `podium arms --json`, which has no rows.

    The error names the command that prints an arm with its rows.
    """
    listed = podium("arms", "sweep", "--json", address=address).out
    assert json.loads(listed)[0]["eval_count"] == 5
    done = podium("record", "sweep", "-", stdin=listed, address=address)
    assert (done.code, done.out) == (2, "")
    assert "`podium show EXPERIMENT ARM --json` prints it" in done.err
