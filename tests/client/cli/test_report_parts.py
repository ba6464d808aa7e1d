"""Tests of the parts of a report: what each part lists, counts and leaves out."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import podium
import pytest
from podium import ArmResult, ArmSummary, EvalResult, RunConfig, plots
from podium.cli import _report
from podium.cli._documents import Heading, Picture, Table, Text
from podium.cli._exits import CommandError, Exit
from podium.cli._report import _Data
from podium.curves import curves_of
from podium.errors import NotFoundError
from podium.ranking import rank, rank_groups


def _arm(
    name: str, score: float | None, group: str | None = None, status: str = "completed", **more: Any
) -> ArmResult:
    rows = [] if score is None else [EvalResult("test", metrics={"acc": score})]
    config = RunConfig(name, extras=more.pop("extras", {}))
    return ArmResult(name, config, status, evals=rows, group_name=group, **more)


def _data(*arms: ArmResult, most: int = 100) -> _Data:
    listed = {
        arm.name: ArmSummary(
            arm.name, arm.run_config, arm.status, error=arm.error, group_name=arm.group_name
        )
        for arm in arms
    }
    is_grouped = any(arm.group_name for arm in arms)
    groups = rank_groups(arms, "test.acc") if is_grouped else None
    return _Data(rank(arms, "test.acc"), groups, listed, most)


def test_the_heading_of_a_report() -> None:
    """The heading of a report shows the texts of the experiment that are set.

    It says if the experiment has changed since the ranking was read.
    """
    experiment = podium.Experiment("e", "h", "m", "c", tags=["t", "u"])
    experiment.revision, experiment.update_time = 7, datetime(2026, 1, 2, tzinfo=UTC)
    handle: Any = SimpleNamespace(get=lambda: experiment)
    for revision, changed in ((7, ""), (6, ", which has changed since then")):
        ranking: Any = SimpleNamespace(revision=revision)
        *texts, last = _report._heading(handle, ranking)
        assert [(each.label, each.text) for each in texts] == [  # type: ignore[union-attr]
            ("Hypothesis", "h"),
            ("Conclusion", "c"),
            ("Success metric", "m"),
            ("Tags", "t u"),
        ]
        assert isinstance(last, Text)
        assert last.text.startswith(
            f"Revision {revision} of experiment e{changed}; last change 2026-01-02 00:00:00Z. "
        )


def test_pictures_of_a_ranking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report draws its ranking if pictures are wanted and an arm has a score.

    Without matplotlib, a sentence says that there is no picture.
    """

    def save(_found: object, path: Path) -> None:
        path.write_text("<svg>", encoding="utf-8")

    def fail(_found: object, _path: Path) -> None:
        raise ImportError("install it")

    monkeypatch.setattr(plots, "save_ranking", save)
    found = _data(_arm("a", 0.5))
    assert list(_report._ranking(found, has_pictures=True))[-1] == Picture("<svg>")
    assert Picture("<svg>") not in _report._ranking(found, has_pictures=False)
    assert Picture("<svg>") not in _report._ranking(_data(_arm("a", None)), has_pictures=True)
    monkeypatch.setattr(plots, "save_ranking", fail)
    assert list(_report._ranking(found, has_pictures=True))[-1] == Text("no picture: install it")


def test_the_tests_of_a_report() -> None:
    """A report tests each group with enough scores against the best group.

    P-values are adjusted for the number of tests (Holm).
    """
    scores = {
        "a": (0.5, 0.6),
        "b": (0.1, 0.2, math.nan),
        "c": (0.3, 0.45),
        "d": (0.4,),
        "e": (None,),
    }
    arms = [_arm(f"{g}{n}", each, g) for g, all_ in scores.items() for n, each in enumerate(all_)]
    heading, _, table, untested = _report._tests(_data(*arms, _arm("alone", 0.55)))
    assert heading == Heading("Tests of a against the other groups")
    assert isinstance(table, Table)
    assert [(row[0], row[1]) for row in table.rows] == [("c", "+0.175"), ("b", "+0.4")]
    single, adjusted = ([float(row[at]) for row in table.rows] for at in (3, 4))
    assert adjusted[1] == pytest.approx(2 * single[1], rel=0.05)
    assert untested == Text("Not tested, for lack of two scores that differ: d")
    assert list(_report._tests(_data(*arms[:2]))) == []
    assert list(_report._tests(_data(_arm("alone", 0.55)))) == []


def test_the_arms_of_a_report() -> None:
    """The best arms are listed with the settings in which they differ.

    The other arms are counted.
    """
    arms = [_arm(f"a{n}", n / 9, extras={"same": 1, "other": n % 2, "1.0": n}) for n in range(4)]
    heading, table, more = _report._arms(_data(*arms, most=3))
    assert heading == Heading("Arms")
    assert isinstance(table, Table)
    assert list(table.headers[-2:]) == ["config.extras.other", "config.extras.1.0"]
    assert [(*row[1:3], *row[-2:]) for row in table.rows] == [
        ("a3", "0.333333", "1", "3"),
        ("a2", "0.222222", "0", "2"),
        ("a1", "0.111111", "1", "1"),
    ]
    assert more == Text("1 more arms are not listed; --top lists more.")
    assert len(list(_report._arms(_data(*arms, most=4)))) == 2
    assert list(_report._arms(_data())) == []


def test_settings_that_vary() -> None:
    """A setting varies if its values or their types (1 and 1.0) differ, or if an arm lacks it.

    At most eight settings are shown.
    """
    records: list[dict[str, Any]] = [
        {"config.name": "a", "config.a": 1, "config.b": 0, "eval.acc": 1},
        {"config.name": "b", "config.a": 1.0, "eval.acc": 2},
    ]
    assert _report._varying(records) == ["config.a", "config.b"]
    wide = [{f"config.{n}": n + sign for n in range(9)} for sign in (0, 1)]
    assert _report._varying(wide) == [f"config.{n}" for n in range(8)]


def test_what_a_report_leaves_out() -> None:
    """Each arm that is not counted is listed with the reason.

    For a failed arm, this is the last line of its error.
    """
    arms = [
        _arm("good", 0.5),
        _arm("nan", math.nan, "g"),
        _arm("none", None),
        _arm("bad", 0.5, status="failed", error="Traceback\n  boom\n"),
        _arm("runs", 0.5, status="running"),
    ]
    found = _data(*arms)
    found.arms["bad"].annotations = podium.Annotations("a note")
    _, table = _report._left_out(found)
    assert isinstance(table, Table)
    assert table.rows == [
        ("nan", "g", "completed", "NaN", ""),
        ("none", "", "completed", "without a score", ""),
        ("bad", "", "failed", "boom", "a note"),
        ("runs", "", "running", "running", ""),
    ]
    _, nothing = _report._left_out(_data(arms[0]))
    assert isinstance(nothing, Text)
    assert nothing.text.startswith("Nothing: ")


def test_the_origins_of_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arms of the same provenance, such as their commit and host, share a row.

    An unknown state of the work tree is not shown as clean. Missing provenance is shown as "not
    recorded".
    """
    origins = {
        "a": podium.Provenance(
            "c0", git_clean=True, host="h", python_version="3", packages={"x": "1"}
        ),
        "b": podium.Provenance("c0", None, host="h"),
        "c": podium.Provenance(host="h"),
        "d": None,
    }

    def arm(name: str) -> Any:
        def get() -> Any:
            if name == "e":
                raise NotFoundError("gone")
            return SimpleNamespace(provenance=origins[name])

        return SimpleNamespace(get=get)

    handle: Any = SimpleNamespace(arm=arm)
    found = _data(*(_arm(name, 0.5) for name in "abcde"))
    _, sources, table = _report._origin(handle, found)
    assert sources == Text("test", "Scores")
    assert isinstance(table, Table)
    assert table.rows == [
        ("c0", "clean", "h", "3", "x 1", "a"),
        ("c0", "", "h", "", "", "b"),
        ("unknown", "", "h", "", "", "c"),
        ("not recorded", "", "", "", "", "d, e"),
    ]
    monkeypatch.setattr(_report, "_MOST_PROVENANCES", 3)
    *_, more = _report._origin(handle, found)
    assert more == Text("The code of 2 more arms is not listed.")


def test_the_curves_that_are_shown_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report shows the curve of the ranked metric.

    If there is none, it tries up to ten metrics, and shows the first three that have curves.
    """
    asked: list[str] = []

    def curve(metric: str, *, by_group: bool) -> Any:
        assert by_group
        asked.append(metric)
        has_curve = metric not in {"m0", "empty"}
        return SimpleNamespace(metric=metric, curves=[1] if has_curve else [])

    handle: Any = SimpleNamespace(name="e", curve=curve)
    client: Any = None

    def shown(known: Sequence[str], ranked: str) -> list[str]:
        asked.clear()
        monkeypatch.setattr(_report, "step_metrics", lambda *_: list(known))
        found = _report._default_curves(client, handle, ranked, is_grouped=True)
        return [each.metric for each in found]

    known = [f"m{n}" for n in range(20)]
    assert (shown(known, "m7"), asked) == (["m7"], ["m7"])
    assert (shown(known, "other"), asked) == (["m1", "m2", "m3"], known[:4])
    assert shown(known, "m0") == ["m1", "m2", "m3"]
    assert (shown(["empty"] * 20, "other"), len(asked)) == ([], 10)


def test_the_table_of_curves() -> None:
    """The table has the last step of each curve, and NaN for a curve that ends with NaN."""
    rows = [
        EvalResult("val", metrics={"acc": each}, step=n) for n, each in ((3, 0.5), (7, math.nan))
    ]
    arms = [
        ArmResult(name, RunConfig(name), "running", evals=rows[:count])
        for name, count in (("a", 1), ("b", 2))
    ]
    table = _report._curve_table(curves_of(arms, "val.acc"))
    assert [row[:5] for row in table.rows] == [
        ("a", "3", "0.5", "", "1"),
        ("b", "7", "NaN", "", "0"),
    ]


def test_the_curves_of_a_report() -> None:
    """A curve names the arms without values of its metric.

    A metric that no arm has is an error.
    """
    rows = [EvalResult("val", metrics={"acc": 0.5}, step=1)]
    arms = [ArmResult("a", RunConfig("a"), "running", evals=rows), _arm("b", 0.5), _arm("c", 0.5)]

    def curve(metric: str, *, by_group: bool) -> Any:
        assert not by_group
        return curves_of(arms, metric)

    metric = SimpleNamespace(name="val.acc", eval_name="val", sources=[])
    experiment: Any = SimpleNamespace(name="e", curve=curve, metrics=lambda: [metric])
    client: Any = SimpleNamespace(experiment=lambda _name: experiment)
    given = (client, experiment, _data(*arms))
    heading, table, without = _report._curves(*given, ["val.acc"], has_pictures=False)
    assert heading == Heading("Curve of val.acc")
    assert isinstance(table, Table)
    assert without == Text("b, c", "Without values by step")
    with pytest.raises(CommandError, match=r"^no arm has a curve of 'x' \(values") as raised:
        list(_report._curves(*given, ["x"], has_pictures=False))
    assert raised.value.code == Exit.NOTHING
