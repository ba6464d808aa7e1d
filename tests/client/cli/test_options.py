"""Tests that each option of a command sets its own argument of the client's call."""

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, call

import pytest
from podium import ScoreColumn, ScoreMatrix, events
from podium._model.recording import RecordResult
from podium._model.watching import WatchMarker
from podium.cli._exits import CommandError, Exit
from podium.cli.commands import import_, report, watch
from podium.comparing import Members, compare
from podium.curves import curves_of
from podium.importing import ImportReport
from podium.importing._report import ArmCount
from podium.ranking import rank, rank_groups

from tests.client.cli.direct import run

FILTERS = "--status failed --group g --prefix p --tag t --config a=1 --config b=1..2"
FILTERED: dict[str, Any] = {
    "status": ["failed"],
    "group_name": "g",
    "name_prefix": "p",
    "tags": ["t"],
    "config": {"a": 1, "b": (1.0, 2.0)},
}
UNFILTERED: dict[str, Any] = {
    "status": None,
    "group_name": None,
    "name_prefix": None,
    "tags": [],
    "config": {},
}
DECLARED = (
    "declare e --hypothesis h --success-metric m --direction minimize --parent p --tag t "
    "--metadata k:=1 --metadata v=1 --overwrite --clear tags"
)
IN_EXPERIMENT, IN_ARM = call.experiment("e"), call.arm("e", "a")

# The arguments of a command, and the calls that they lead to.
CALLS: list[tuple[str, list[Any]]] = [
    (
        f"arms e {FILTERS} --limit 5 --json",
        [IN_EXPERIMENT, call.experiment().arms(**FILTERED, run_configs=True, page_size=5)],
    ),
    ("arms e", [call.experiment().arms(**UNFILTERED, run_configs=False, page_size=1_000)]),
    (
        "arms e --sort group --limit 5",
        [call.experiment().arms(**UNFILTERED, run_configs=True, page_size=1_000)],
    ),
    (
        "arms e --column group",
        [call.experiment().arms(**UNFILTERED, run_configs=True, page_size=1_000)],
    ),
    (
        "experiments --prefix p --status failed --tag t --limit 3 --json",
        [call.experiments(name_prefix="p", status=["failed"], tags=["t"], page_size=3)],
    ),
    (
        "evals e a --name v --min-step -1 --max-step 2 --limit 3 --json",
        [IN_ARM, call.arm().evals(name="v", min_step=-1, max_step=2, page_size=3)],
    ),
    (
        "series e a k l --min-step 1 --max-step 2 --page-size 4 --json",
        [IN_ARM, call.arm().all_series(["k", "l"], min_step=1, max_step=2, page_size=4)],
    ),
    ("eval e a v --step 0 --json", [IN_ARM, call.arm().eval("v", step=0)]),
    ("eval e a v --json", [call.arm().eval("v", step=None)]),
    ("score e a m --json", [IN_ARM, call.arm().find_score("m")]),
    ("metrics e --json", [IN_EXPERIMENT, call.experiment().metrics()]),
    (
        f"scores e m n {FILTERS} --json",
        [IN_EXPERIMENT, call.experiment().scores(["m", "n"], **FILTERED)],
    ),
    (
        f"rank e m --minimize --top 3 {FILTERS} --json",
        [IN_EXPERIMENT, call.experiment().rank("m", direction="minimize", **FILTERED, top=3)],
    ),
    (
        "rank e --metric m --maximize --json",
        [call.experiment().rank("m", direction="maximize", **UNFILTERED, top=None)],
    ),
    (
        f"rank e m --by-group --min-members 2 --top 3 {FILTERS} --json",
        [call.experiment().rank_groups("m", direction=None, **FILTERED, min_members=2, top=3)],
    ),
    (
        "compare e a b --kind arm --status failed --eval v --eval w --json",
        [
            IN_EXPERIMENT,
            call.experiment().compare("a", "b", kind="arm", status=["failed"], evals=["v", "w"]),
        ],
    ),
    (
        "curve e m a b --by-group --status failed --json",
        [
            IN_EXPERIMENT,
            call.experiment().curve("m", ["a", "b"], by_group=True, status=["failed"]),
        ],
    ),
    ("curve e m", [call.experiment().curve("m", None, by_group=False, status=None)]),
    (
        f"{DECLARED} --json",
        [
            IN_EXPERIMENT,
            call.experiment().declare(
                hypothesis="h",
                success_metric="m",
                direction="minimize",
                parent="p",
                tags=["t"],
                metadata={"k": 1, "v": "1"},
                overwrite=True,
                clear_fields=["tags"],
            ),
        ],
    ),
    ("conclude e T --json", [IN_EXPERIMENT, call.experiment().conclude("T")]),
    ("conclude e --json", [call.experiment().conclude(None)]),
    (
        "delete e a --yes --allow-missing --json",
        [call.experiment().arm("a"), call.experiment().arm().delete(allow_missing=True)],
    ),
    ("delete e --yes --json", [call.experiment().delete(allow_missing=False)]),
    (
        (
            "watch e --status failed --group g --prefix p --no-evals --no-breakdowns --series k "
            "--after 3 --epoch x --json"
        ),
        [
            IN_EXPERIMENT,
            call.experiment().watch(
                after=WatchMarker(3, "x"),
                status=["failed"],
                group_name="g",
                name_prefix="p",
                with_evals=False,
                with_breakdowns=False,
                with_series=["k"],
            ),
        ],
    ),
    (
        "watch e --metric m --after 0",
        [
            call.experiment().watch(
                after=WatchMarker(0, ""),
                status=None,
                group_name=None,
                name_prefix=None,
                with_evals=True,
                with_breakdowns=True,
                with_series=["m"],
            )
        ],
    ),
]


def _client() -> Any:
    client = MagicMock()
    experiment, arm = client.experiment.return_value, client.arm.return_value
    experiment.rank.return_value = rank([], "m")
    experiment.rank_groups.return_value = rank_groups([], "m")
    experiment.curve.return_value = curves_of([], "m")
    experiment.scores.return_value = ScoreMatrix([], [ScoreColumn("m", [])], None)
    side = Members("a", is_group=False, arms=[])
    experiment.compare.return_value = compare(side, side)
    experiment.declare.return_value = experiment.conclude.return_value = RecordResult(3, 1)
    client.record.return_value = RecordResult(3, 1)
    experiment.delete.return_value = experiment.arm.return_value.delete.return_value = 3
    arm.eval.return_value = arm.find_score.return_value = None
    return client


def test_options_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each option of a command becomes the right argument of the client's call.

    No option is ignored or mistaken for another one.
    """
    monkeypatch.setattr(watch, "_end_with_reader", lambda: None)
    for line, calls in CALLS:
        client = _client()
        code = run(line, client)
        assert code == Exit.NOTHING or not line.startswith("watch"), line  # deletion ends a watch
        for each in calls:
            assert each in client.mock_calls, line


def test_options_of_events() -> None:
    """`finish` and `annotate` send one event.

    The event has the fields of the given options, and no other fields.
    """
    for line, event in (
        ("finish e a --status failed --error E", events.arm_finished("a", "failed", error="E")),
        ("annotate e a --note=", events.arm_annotated("a", notes="")),
        ("annotate e a --group=", events.arm_annotated("a", group_name="")),
        ("finish e a --status cancelled", events.arm_finished("a", "cancelled")),
        (
            "annotate e a --note n --tag t --tag u --group g",
            events.arm_annotated("a", notes="n", add_tags=["t", "u"], group_name="g"),
        ),
    ):
        client = _client()
        assert run(line, client) == Exit.OK
        name, [sent] = client.record.call_args.args
        for each in (sent, event):
            each.ClearField("event_time")
        assert (name, sent) == ("e", event)
        assert not client.arm.called


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("report a/b", ("a_b.html", None, None, 100, True)),
        ("report e --output {}/x.HTM --top 3", ("x.HTM", None, None, 3, True)),
        (
            "report e --metric m --curve c --curve d --output {}/x.md",
            ("x.md", "m", ["c", "d"], 100, False),
        ),
    ],
)
def test_options_of_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, expected: tuple[Any, ...]
) -> None:
    """The suffix of the file decides whether a report has pictures.

    Without --output, the file has the name of the experiment.
    """
    made = MagicMock(return_value=[])
    monkeypatch.setattr(report, "report", made)
    monkeypatch.chdir(tmp_path)
    assert run(line.format(tmp_path)) == Exit.OK
    given = made.call_args.kwargs
    [file] = [each.name for each in tmp_path.iterdir()]
    names = ("metric", "curves", "most", "has_pictures")
    assert (file, *(given[name] for name in names)) == expected


@pytest.mark.parametrize("options", ["--replace", "--dry-run", ""])
def test_options_of_an_import(monkeypatch: pytest.MonkeyPatch, options: str) -> None:
    """`podium import` replaces results only with --replace. It is a dry run only with --dry-run."""
    made = MagicMock(return_value=ImportReport({"e": ArmCount("csv")}))
    monkeypatch.setattr(import_, "import_results", made)
    line = f"import p --kind csv --map arm=b,metric=c --experiment e {options}"
    assert run(line, "client") == Exit.OK
    assert made.call_args.args == ("client", "p")
    given = dict(made.call_args.kwargs)
    assert callable(given.pop("on_progress"))
    assert given == {
        "kind": "csv",
        "mapping": {"arm": ["b"], "metric": ["c"]},
        "experiment": "e",
        "replace": options == "--replace",
        "dry_run": options == "--dry-run",
    }


def test_options_of_pictures(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A picture is written to the given file with the given title.

    `rank` also prints its table, and `curve` does not. If the picture cannot be drawn or written,
    the command ends with a usage error.
    """
    save = MagicMock()
    for command, name, title, has_table in (
        ("rank e m --plot a.svg --title T", "save_ranking", "T", True),
        ("rank e m --by-group --plot a.svg --json", "save_ranking", None, True),
        ("curve e m --output a.svg", "save_curves", None, False),
    ):
        monkeypatch.setattr(f"podium.plots.{name}", save)
        assert run(command, _client()) == Exit.OK
        assert save.call_args.args[1:] == ("a.svg",)
        assert save.call_args.kwargs == {"title": title}
        told = capsys.readouterr()
        assert bool(told.out) is has_table
        assert told.err.startswith("podium: a.svg is written\n")
    for error, text in (
        (ValueError("nothing to draw"), "nothing to draw"),
        (ImportError("install it"), "install it"),
        (PermissionError(13, "Permission denied"), "a.svg cannot be written: Permission denied"),
    ):
        save.side_effect = error
        with pytest.raises(CommandError, match=f"^{text}$") as raised:
            run(command, _client())
        assert raised.value.code == Exit.USAGE
