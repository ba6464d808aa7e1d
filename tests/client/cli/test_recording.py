"""Tests of `podium declare`, `conclude` and `record`: their effects and their output."""

import json
from pathlib import Path
from typing import Any

import podium as library
import pytest
from podium_server.testing import running_server

from tests.client.cli.shell import podium

ARM = {
    "name": "a",
    "run_config": {"name": "a", "lr": 0.1},
    "status": "completed",
    "metrics": {"loss": "NaN"},
    "evals": [{"name": "test", "tags": ["test"], "metrics": {"acc": 0.5}}],
}
STORY: list[dict[str, Any]] = [
    {"event": "experiment_declared", "success_metric": "test.acc", "metadata": {"gpus": 8}},
    {"event": "arm_started", "run_config": {"name": "b"}, "attempt": {"id": "job-1", "order": 1}},
    {"event": "metrics_recorded", "arm": "b", "attempt_id": "job-1", "metrics": {"loss": 0.25}},
    {
        "event": "eval_recorded",
        "arm": "b",
        "attempt_id": "job-1",
        "event_time": "2026-01-01T01:00:00+01:00",
        "eval_result": {"name": "val", "step": -5, "metrics": {"acc": "-Infinity"}},
    },
    {"event": "arm_finished", "arm": "b", "attempt_id": "job-1", "status": "failed", "error": "e"},
    {"event": "experiment_concluded", "conclusion": "No."},
    {"event": "skipped"},
]


def lines(*values: Any) -> str:
    """Returns the values as JSON lines."""
    return "".join(json.dumps(value) + "\n" for value in values)


def arm(address: str, experiment: str, name: str) -> library.ArmResult:
    """Returns an arm as the library reads it."""
    with library.Client(address) as client:
        return client.arm(experiment, name).get()


def test_declare_and_conclude(address: str) -> None:
    """`podium declare` sets fields that are unset, and names those that keep another value.

    `--overwrite` replaces values. `podium conclude` sets the conclusion.
    """
    line = ["declare", "declared", "--hypothesis", "h", "--tag", "x", "--metadata", "n:=4"]
    done = podium(*line, "--metadata", "v=1.10", address=address)
    assert done == (0, "experiment 'declared' is declared; revision 1\n", "")
    done = podium("declare", "declared", "--hypothesis", "g", "--metadata=n:=5", address=address)
    assert done.out == "experiment 'declared' is declared; revision 1\n"
    assert done.err == "podium: unchanged: hypothesis, metadata.n; --overwrite changes them\n"
    done = podium("declare", "declared", "--hypothesis=g", "--overwrite", "--json", address=address)
    assert json.loads(done.out) == {"revision": 2, "changed_events": 1, "kept_fields": []}
    done = podium("conclude", "declared", "It works.", address=address)
    assert done == (0, "experiment 'declared' is concluded; revision 3\n", "")
    with library.Client(address) as client:
        found = client.experiment("declared").get()
    assert (found.hypothesis, found.tags, found.conclusion) == ("g", ["x"], "It works.")
    assert found.metadata == {"n": 4, "v": "1.10"}


def test_declare_clears_fields(address: str) -> None:
    """`--clear` removes the value of a field, or of one key of a field.

    If a field is unknown, the error names it, and a field that can be given.
    """
    given = ["--hypothesis=h", "--metadata=n:=4", "--metadata=v:=5"]
    assert podium("declare", "cleared", *given, address=address).code == 0
    line = ["declare", "cleared", "--clear=hypothesis", "--clear=metadata.n", "--tag=x"]
    done = podium(*line, address=address)
    assert done == (0, "experiment 'cleared' is declared; revision 2\n", "")
    with library.Client(address) as client:
        found = client.experiment("cleared").get()
    assert (found.hypothesis, found.metadata, found.tags) == (None, {"v": 5}, ["x"])
    done = podium("declare", "cleared", "--clear=name", address=address)
    assert done.code == 2
    assert "--clear has 'name'; give one of hypothesis" in done.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("declare", "--success-metric="), "--success-metric is empty; give 1 to"),
        (("declare", "--hypothesis=a\0"), "--hypothesis contains a NUL character"),
        (("declare", "--parent=a//b"), "--parent 'a//b' has a segment"),
        (("declare", "--tag="), "a key of --tag is empty"),
        (("declare", "--metadata=a\1=3"), "a key of --metadata contains a control character"),
        (("conclude", ""), "TEXT is not set"),
    ],
    ids=str,
)
def test_errors_name_options(address: str, arguments: tuple[str, str], text: str) -> None:
    """The error of an invalid value names the option, not the field of the event."""
    command, option = arguments
    assert podium("declare", "options", address=address).code == 0
    done = podium(command, "options", option, address=address)
    assert (done.code, text in done.err) == (2, True)


@pytest.mark.parametrize("status", ["failed", "cancelled", "completed"])
def test_finish_by_hand(address: str, status: str) -> None:
    """`podium finish` sets the status and the error of a running arm.

    If the training process finishes the arm later, its status and error replace those of the
    command.
    """
    experiment = f"finished/{status}"
    with library.Client(address) as client:
        client.experiment(experiment).declare()
        run = client.experiment(experiment).start_arm(library.RunConfig("a"))
    done = podium(
        "finish", experiment, "a", "--status", status, "--error", "no power", address=address
    )
    assert done == (0, f"arm 'a' of {experiment!r} is {status}; revision 3\n", "")
    found = arm(address, experiment, "a")
    assert (found.status, found.error) == (status, "no power")
    with library.Client(address) as client:
        client.arm(experiment, "a", attempt_id=run.attempt_id).finish()
    found = arm(address, experiment, "a")
    assert (found.status, found.error) == ("completed", None)


def test_finish_without_an_arm_or_an_end(address: str) -> None:
    """An unknown arm is an error of the server. The status `running` is a usage error."""
    line = ["finish", "finished/without", "b", "--status"]
    with library.Client(address) as client:
        client.experiment("finished/without").declare()
    unknown = podium(*line, "failed", address=address)
    assert unknown.code == 1
    assert "has no arm 'b'" in unknown.err
    assert podium(*line, "running", address=address).code == 2


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ARM),
        json.dumps(ARM, indent=2),
        json.dumps([ARM]),
        json.dumps([ARM], indent=2),
        "\ufeff" + lines(ARM),
        "\n\n" + lines(ARM),
        lines({"event": "arm_recorded", "arm_result": ARM}),
    ],
    ids=["object", "indented", "list", "indented list", "byte order mark", "blank lines", "event"],
)
def test_an_arm_in_any_shape(address: str, name: str, text: str) -> None:
    """`podium record` accepts an arm as a JSON value, in a list, in a JSON line or in an event."""
    done = podium("record", name, "-", stdin=text, address=address)
    assert done == (0, "1 event recorded; revision 2\n", "")
    found = arm(address, name, "a")
    assert found.run_config.extras == {"lr": 0.1}
    assert str(found.score("loss")) == "nan"
    assert found.score("acc") == 0.5


def test_events(address: str, tmp_path: Path) -> None:
    """The events of a file are recorded in order. Recording the file again changes nothing."""
    file = tmp_path / "events.jsonl"
    file.write_text(lines(*STORY), encoding="utf-8")
    done = podium("record", "story", str(file), address=address)
    assert done == (0, "7 events recorded, 6 of which changed something; revision 1\n", "")
    done = podium("record", "story", str(file), address=address)
    assert done == (0, "7 events recorded, nothing changed; revision 1\n", "")
    found = arm(address, "story", "b")
    assert (found.status, found.error, found.metrics) == ("failed", "e", {"loss": 0.25})
    assert found.attempt == library.Attempt("job-1", 1)
    row = found.eval("val", step=-5)
    assert row is not None
    assert row.metrics == {"acc": float("-inf")}
    assert str(row.event_time) == "2026-01-01 00:00:00+00:00"


def test_the_output_of_show_can_be_recorded(address: str, name: str) -> None:
    """The output of `podium show --json` can be recorded as the same arm in another experiment."""
    exported = podium("show", "sweep", "r4", "--json", address=address).out
    assert podium("record", name, "-", stdin=exported, address=address).code == 0
    assert arm(address, name, "r4") == arm(address, "sweep", "r4")


def test_a_row_keeps_its_time(address: str, name: str) -> None:
    """An exported row that is recorded as an event keeps its time of measurement."""
    podium("record", name, "-", stdin=lines(*STORY[:4], ARM), address=address)
    (row,) = json.loads(podium("evals", name, "b", "--json", address=address).out)
    event = {"event": "eval_recorded", "arm": "a", "eval_result": row}
    podium("record", name, "-", stdin=lines(event), address=address)
    measured = arm(address, name, "a").evals[-1].event_time
    assert str(measured) == "2026-01-01 00:00:00+00:00"


@pytest.mark.slow
def test_rows_of_a_whole_arm_keep_their_times(address: str, name: str, tmp_path: Path) -> None:
    """Rows of a whole arm keep their times, even if they do not fit into one call.

    Rows that were given without a time have none.
    """
    times = ["2026-01-01T00:00:00Z", None, "2026-01-03T00:00:00Z"]
    rows = [
        {"name": "val", "step": step, "event_time": times[step % 3], "metrics": {"m": 1}}
        for step in range(10_001)
    ]
    file = tmp_path / "timed.jsonl"
    file.write_text(lines({**ARM, "evals": rows}), encoding="utf-8")
    for _ in range(2):
        done = podium("record", name, str(file), address=address)
        assert done.code == 0
    assert "nothing changed" in done.out
    measured = [row.event_time and row.event_time.day for row in arm(address, name, "a").evals]
    assert measured == [(1, None, 3)[step % 3] for step in range(10_001)]


def test_a_field_that_a_declaration_leaves_unchanged(address: str, name: str) -> None:
    """If a declared field already has another value, it is kept, and a note names the field."""
    text = lines(
        {"event": "experiment_declared", "parent": "p"},
        {"event": "experiment_declared", "parent": "q"},
        {"event": "experiment_declared", "parent": "r"},
    )
    done = podium("record", name, "-", stdin=text, address=address)
    assert done.out == "3 events recorded, 1 of which changed something; revision 2\n"
    assert done.err == 'podium: unchanged: parent; "overwrite": true changes them\n'
    done = podium("record", name, "-", "--json", stdin=text, address=address)
    assert json.loads(done.out) == {
        "revision": 2,
        "events": 3,
        "changed_events": 0,
        "kept_fields": ["parent"],
        "experiments": [name],
    }


def test_replace(address: str, name: str) -> None:
    """An arm that has attempts is replaced only with `--replace`."""
    assert podium("record", name, "-", stdin=lines(*STORY[1:5]), address=address).code == 0
    text = lines({**ARM, "name": "b"})
    done = podium("record", name, "-", stdin=text, address=address)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("podium: line 1: ")
    assert done.err.endswith("(ARM_HAS_ATTEMPTS); nothing was recorded\n")
    assert podium("record", name, "-", "--replace", stdin=text, address=address).code == 0
    assert arm(address, name, "b").score("acc") == 0.5


def test_many_events_are_many_calls(address: str, tmp_path: Path) -> None:
    """A large file is sent in calls of 1,000 events. The progress is printed after each call."""
    row = {"event": "eval_recorded", "arm": "a"}
    rows = [{**row, "eval_result": {"name": "v", "step": step}} for step in range(2500)]
    file = tmp_path / "rows.jsonl"
    file.write_text(lines({"event": "experiment_declared"}, ARM, *rows), encoding="utf-8")
    done = podium("record", "many", str(file), address=address)
    assert (done.code, done.out) == (0, "2,502 events recorded; revision 3\n")
    assert done.err == "".join(
        f"{count} of 2,502 events recorded\n" for count in ("1,000", "2,000", "2,502")
    )
    assert len(arm(address, "many", "a").evals) == 2501


def test_a_large_arm_is_recorded_in_parts(address: str, tmp_path: Path) -> None:
    """An arm whose rows do not fit into one call is recorded whole.

    Of two rows with the same name and step, the first one counts.
    """
    metrics = {f"m{key}": key for key in range(20)}
    rows = [{"name": "val", "step": step, "metrics": metrics} for step in range(600)]
    evals = [*rows, {"name": "val", "step": 0, "metrics": {"m0": 99}}, *ARM["evals"]]
    file = tmp_path / "arm.json"
    file.write_text(json.dumps({**ARM, "evals": evals}), encoding="utf-8")
    podium("declare", "large", address=address)
    done = podium("record", "large", str(file), address=address)
    assert (done.code, done.out) == (0, "103 events recorded; revision 3\n")
    found = arm(address, "large", "a")
    assert len(found.evals) == 601
    assert (found.score("test.acc"), found.score("acc")) == (0.5, 0.5)
    first = found.eval("val", step=0)
    assert first is not None
    assert first.metrics["m0"] == 0
    done = podium("record", "large", str(file), address=address)
    assert done.out == "103 events recorded, nothing changed; revision 3\n"


def test_what_is_recorded_when_a_later_call_fails(address: str, name: str) -> None:
    """If a call is rejected, the error names the lines that the server rejected.

    It also says how many events are recorded.
    """
    good = {"event": "metrics_recorded", "arm": "a", "metrics": {"x": 1}}
    text = lines(ARM, *[good] * 999, good, {**good, "arm": "nope"}, {**good, "arm": ""})
    done = podium("record", name, "-", stdin=text, address=address)
    assert (done.code, done.out) == (1, "")
    progress, told = done.err.splitlines()
    assert progress == "1,000 of 1,003 events recorded"
    assert told.startswith(f"podium: line 1002: experiment '{name}' has no arm 'nope'; ")
    assert told.endswith(
        "(ARM_NOT_FOUND); also rejected: line 1003; the first 1,000 events are recorded, the "
        "others are not, and it is safe to record everything again"
    )


def test_a_server_that_does_not_answer(tmp_path: Path) -> None:
    """If no server answers, `podium record` ends with exit code 3 and says how to start one."""
    file = tmp_path / "arm.json"
    file.write_text(json.dumps(ARM), encoding="utf-8")
    done = podium("record", "e", str(file), address="localhost:1")
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("podium: no Podium server answers at localhost:1: start one with ")


def test_an_experiment_that_was_not_declared(address: str) -> None:
    """If the experiment is not declared, the exit code is 1, and the error says what to do."""
    done = podium("record", "unknown", "-", stdin=lines(ARM), address=address)
    assert (done.code, done.out) == (1, "")
    assert "there is no experiment 'unknown'; declare it first" in done.err


def test_a_server_with_a_lower_limit(tmp_path: Path) -> None:
    """If the server's limit of events per call is lower, the events are sent in more calls."""
    rows = [
        {"event": "eval_recorded", "arm": "a", "eval_result": {"name": "val", "step": step}}
        for step in range(300)
    ]
    file = tmp_path / "events.jsonl"
    file.write_text(lines(ARM, *rows))
    with running_server(None, "--limit", "call_events=100") as server:
        podium("declare", "e", address=server.address)
        done = podium("record", "e", str(file), address=server.address)
        assert (done.code, done.out) == (0, "301 events recorded; revision 5\n")
        assert len(arm(server.address, "e", "a").evals) == 301


def test_annotate(address: str, name: str) -> None:
    """`podium annotate` changes notes, tags and group, which `podium show` prints.

    Without anything to change, the command is a usage error.
    """
    podium("record", name, "-", stdin=json.dumps(ARM), address=address)
    line = ["annotate", name, "a", "--note", "bad shard", "--tag", "x", "--group", "g"]
    done = podium(*line, address=address)
    assert done == (0, f"arm 'a' of {name!r} is annotated; revision 3\n", "")
    assert podium(*line, address=address).out == f"arm 'a' of {name!r} is unchanged; revision 3\n"
    shown = podium("show", name, "a", address=address).out
    assert "  group             g\n  notes             bad shard\n  tags              x\n" in shown
    podium("annotate", name, "a", "--note", "", "--untag", "x", "--group", "", address=address)
    found = arm(address, name, "a")
    assert found.annotations == library.Annotations(removed_tags=["x"], no_group=True)
    done = podium("annotate", name, "a", address=address)
    assert done.code == 2
    assert "nothing to change; give --note, --tag, --untag or --group" in done.err


def test_annotations_that_are_wrong(address: str, name: str) -> None:
    """Removing a tag that the arm does not have changes nothing.

    Errors name the wrong option, or suggest a similar option, arm or experiment.
    """
    podium("record", name, "-", stdin=json.dumps(ARM), address=address)
    podium("annotate", name, "a", "--tag", "broken", address=address)
    done = podium("annotate", name, "a", "--untag", "brokn", address=address)
    assert done == (
        0,
        f"arm 'a' of {name!r} is unchanged; revision 3\n",
        "podium: the arm has no tag 'brokn'; did you mean 'broken'?\n",
    )
    for options, code, text in (
        ("a --tag x --untag x", 2, "podium: --tag and --untag both have 'x'; leave one out\n"),
        (f"a --tag {'x' * 2000}", 2, "podium: a key of --tag has 2000 bytes"),
        ("a --remove-tag x", 2, "did you mean --untag?"),
        ("A --tag x", 1, "; did you mean 'a'?"),
    ):
        done = podium("annotate", name, *options.split(), address=address)
        assert (done.code, done.out) == (code, "")
        assert text in done.err
    done = podium("annotate", f"{name}_", "a", "--tag", "x", address=address)
    assert f"did you mean {name!r}" in done.err
    done = podium("finish", name, "A", "--status", "failed", address=address)
    assert (done.code, "; did you mean 'a'?" in done.err) == (1, True)
