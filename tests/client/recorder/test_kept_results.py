"""Tests of what a recorder keeps if a part of a configuration or of a result is wrong."""

from dataclasses import dataclass
from typing import Any

import podium
from podium import (
    Annotations,
    ArmResult,
    Component,
    DataConfig,
    Direction,
    EvalResult,
    ModelConfig,
    Provenance,
    RunConfig,
    RunResult,
)
from podium._recorder import kept_annotations, kept_results
from podium._recorder.problems import Problems

from tests.each import each

_WRONG: Any = object()


@dataclass
class _Settings:
    """A dataclass that a program uses as its configuration."""

    lr: float = 0.5


def _with(given: Any, **fields: Any) -> Any:
    """Sets fields of an object after its creation, as a program can. Nothing checks the values."""
    vars(given).update(fields)
    return given


def _kinds(problems: Problems) -> str:
    """Returns the first letter of the kind of each problem.

    The kinds are `lost` (left out), `changed` (recorded with a loss) and `taken` (without a loss).
    """
    return "".join(problem.kind[0] for problem in problems)


@each(
    ("given", "name", "expected", "kinds"),
    [
        (RunConfig("r", seed=1), "arm", RunConfig("r", seed=1), ""),
        (RunConfig(""), "arm", RunConfig("arm"), "t"),
        (RunConfig(""), None, RunConfig(""), ""),
        ({"name": "r", "lr": 1}, None, RunConfig("r", extras={"name": "r", "lr": 1}), "t"),
        ({"name": "r"}, "arm", RunConfig("arm", extras={"name": "r"}), "t"),
        ({"lr": 1}, None, RunConfig("unnamed", extras={"lr": 1}), "t"),
        (_Settings(), "arm", RunConfig("arm", extras={"lr": 0.5}), "t"),
        (_Settings, "arm", RunConfig("arm"), "l"),
        ("r", None, RunConfig("r"), "t"),
        ("r\n", None, RunConfig("r"), "t"),
        ("r", "arm", RunConfig("arm"), "l"),
        ("", None, RunConfig("unnamed"), "l"),
        (None, "arm", RunConfig("arm"), "l"),
        (5, None, RunConfig("unnamed"), "l"),
    ],
)
def test_the_configuration_of_an_arm(
    given: Any, name: str | None, expected: RunConfig, kinds: str
) -> None:
    """Any object that is given as a `run_config` becomes a RunConfig with a name.

    The values of a mapping or of a dataclass are in its `extras`.
    """
    problems = Problems()
    assert kept_results.run_config(given, name, problems) == expected
    assert _kinds(problems) == kinds


_CONFIG = RunConfig(
    "r",
    DataConfig("jsonl", path="p", rows=[{"a": 1}], transforms=["t"]),
    ModelConfig("m", renderer_name="n"),
    Component("sft", {"lr": 1}),
    Component("local", {"n": 2}),
    {"a": 1},
    {"b": 2},
    3,
    ["t"],
    {"c": 3},
)


def test_a_valid_configuration_is_kept() -> None:
    """A valid configuration is kept without a change, and without a problem."""
    problems = Problems()
    assert kept_results.run_config(_CONFIG, None, problems) == _CONFIG
    assert problems == []


@each(
    ("field", "given", "expected"),
    [
        ("data", "jsonl", None),
        ("data", _with(DataConfig("x"), source_kind=_WRONG, path=_WRONG, rows=_WRONG), None),
        ("data", DataConfig("jsonl", transforms=[1, {"a": 2}], rows=[]), None),
        ("model", _WRONG, None),
        ("model", _with(ModelConfig("m"), renderer_name=_WRONG), ModelConfig("m")),
        ("algorithm", {"kind": "sft"}, None),
        ("algorithm", _with(Component("sft"), params=_WRONG), Component("sft")),
        ("backend", Component("local", {"a": 1, "\n": 2}), Component("local", {"a": 1})),
        ("eval", _WRONG, {}),
        ("validation", ["a"], {}),
        ("extras", 5, {}),
        ("seed", "x", None),
        ("tags", _WRONG, []),
        ("tags", "one", ["one"]),
    ],
)
def test_a_wrong_part_of_a_configuration(field: str, given: Any, expected: Any) -> None:
    """If a part of a configuration is wrong, only the valid values of this part are kept.

    The problem names the part, and all other parts of the configuration stay as they are.
    """
    config = _with(RunConfig(**vars(_CONFIG)), **{field: given})
    problems = Problems()
    found = kept_results.run_config(config, None, problems)
    for name, value in vars(found).items():
        if name != field:
            assert value == getattr(_CONFIG, name)
    kept = getattr(found, field)
    if isinstance(given, DataConfig):
        is_valid = given.source_kind == "jsonl"
        assert kept == (given if is_valid else DataConfig(""))
        assert {problem.field for problem in problems} == (
            set()
            if is_valid
            else {"run_config.data.source_kind", "run_config.data.path", "run_config.data['rows']"}
        )
    else:
        assert kept == expected
        assert len(problems) == 1
        assert problems[0].field.startswith((f"run_config.{field}", f"the key run_config.{field}"))


def test_a_wrong_result_of_a_run() -> None:
    """Of a RunResult with wrong parts, the valid metrics, artifacts and extras are kept.

    An exception that is given as `error` becomes its traceback. A string that is given instead of a
    RunResult is left out.
    """
    problems = Problems()
    given = _with(
        RunResult("i", "done", extras={"n": 1, "\n": 2}),
        run_id=_WRONG,
        metrics={"a": 1, "b": "x"},
        artifacts={"k": "path", "": "lost", "w": _WRONG},
        error=ValueError("broken"),
    )
    found = kept_results.run_result(given, problems)
    assert found is not None
    assert (found.run_id, found.status, found.metrics) == ("", "done", {"a": 1.0})
    assert (found.artifacts, found.extras) == ({"k": "path"}, {"n": 1})
    assert found.error is not None
    assert "ValueError: broken" in found.error
    assert _kinds(problems) == "lllll"
    wrong = _with(RunResult("i", "done"), artifacts=["path"])
    assert kept_results.run_result(wrong, problems) == RunResult("i", "done")
    assert problems[-1].field == "run_result.artifacts"
    assert kept_results.run_result("done", problems) is None
    assert kept_results.run_result(None, problems) is None
    assert _kinds(problems) == "lllllll"
    most = {str(n): float(n) for n in range(1_002)}
    kept = kept_results.run_result(RunResult("i", "done", metrics=most), problems)
    assert kept is not None
    assert list(kept.metrics) == list(most)[:1_000]
    assert "those from '1000' to '1001' are left out" in problems[-1].text


@each(
    ("given", "has_error", "expected", "kinds"),
    [
        ("completed", False, "completed", ""),
        (podium.ArmStatus.FAILED, False, "failed", ""),
        (" Failed", False, "failed", "t"),
        ("complete", True, "completed", "c"),
        ("canceled", False, "cancelled", "c"),
        ("crashed", False, "failed", "c"),
        ("", False, "completed", "c"),
        ("", True, "failed", "c"),
        (None, False, "completed", "c"),
        (None, True, "failed", "c"),
        (podium.ArmStatus.RUNNING, False, "failed", "c"),
        ([], False, "completed", "c"),
    ],
)
def test_how_an_arm_ends(given: Any, expected: str, kinds: str, *, has_error: bool) -> None:
    """A misspelled status is corrected, and any other unknown string becomes `failed`.

    That is safe, because a failed arm is in no ranking. Without a status, an arm is failed if it
    has an error, and completed otherwise.
    """
    problems = Problems()
    assert kept_results.status(given, problems, has_error=has_error) == expected
    assert _kinds(problems) == kinds


@each(
    ("given", "expected", "kinds"),
    [
        (None, None, ""),
        (" Maximize", Direction.MAXIMIZE, ""),
        (Direction.MINIMIZE, Direction.MINIMIZE, ""),
        ("up", None, "l"),
        (5, None, "l"),
    ],
)
def test_directions(given: Any, expected: Direction | None, kinds: str) -> None:
    """A direction that is not valid is left out, since it could reverse a ranking."""
    problems = Problems()
    assert kept_results.direction(given, problems) == expected
    assert _kinds(problems) == kinds


def test_a_row_without_a_valid_step() -> None:
    """A row whose step is not valid is recorded under a new name.

    Under its own name and without a step, it would count as the post-training row.
    """
    problems, names = Problems(), set[str]()
    for _ in range(2):
        row = kept_results.row(problems, vars(_with(EvalResult("v"), step=_WRONG)))
        assert row.step is None
        assert row.name.startswith("v without its step-")
        names.add(row.name)
    assert len(names) == 2
    given = vars(EvalResult("v", metrics={"n": 1}, step=3))
    given |= {"name": _WRONG, "eval_seconds": _WRONG}
    row = kept_results.row(problems, given, "rows[1].")
    assert row.name.startswith("unnamed-")
    assert (row.metrics, row.step, row.eval_seconds) == ({"n": 1.0}, 3, 0.0)
    assert [problem.field for problem in problems[-2:]] == ["rows[1].name", "rows[1].eval_seconds"]
    row = kept_results.row(problems, vars(EvalResult("v")) | {"eval_seconds": None})
    assert (row.eval_seconds, problems[-1].kind) == (0.0, "taken")


def test_a_whole_arm_with_wrong_parts() -> None:
    """Of an ArmResult with wrong parts, all valid parts are kept. A problem names each wrong field.

    An ArmResult without a name is not recorded.
    """
    given = _with(
        ArmResult("a", RunConfig("r"), "completed", eval_seconds=2, group_id="g"),
        status=_WRONG,
        metrics={"n": 1, "m": _WRONG},
        eval_metrics={"": 1},
        eval_breakdowns=_WRONG,
        evals=[EvalResult("v", step=1), _WRONG, _with(EvalResult("w"), tags=_WRONG)],
        run_id=_WRONG,
        error=_WRONG,
        train_seconds=-1,
        run_result=_WRONG,
        annotations=_with(Annotations("note", ["a", "b"], no_group=True), removed_tags=["b", "c"]),
        provenance=_with(
            Provenance("commit", packages={"x": "2"}),
            git_clean=_WRONG,
            command_line=["p", _WRONG],
            packages={"": "1", "x": "2"},
        ),
    )
    problems = Problems()
    found = kept_results.arm_result(given, problems)
    assert found is not None
    assert (found.name, found.run_config, found.status) == ("a", RunConfig("r"), "completed")
    assert (found.metrics, found.eval_metrics, found.eval_breakdowns) == ({"n": 1.0}, {}, {})
    assert [(row.name, row.step) for row in found.evals] == [("v", 1), ("w", None)]
    assert (found.run_id, found.run_result, found.group_id) == (None, None, "g")
    assert (found.train_seconds, found.eval_seconds) == (None, 2.0)
    assert found.annotations == Annotations("note", ["a", "b"], ["c"], None, no_group=True)
    assert found.provenance == Provenance(
        "commit", None, ["p", ""], packages={"unnamed": "1", "x": "2"}
    )
    told = {problem.field.removeprefix("arm_result.") for problem in problems}
    assert told >= {"status", "eval_breakdowns", "evals[1]", "evals[2].tags", "run_id", "error"}
    assert told >= {"train_seconds", "run_result", "annotations.removed_tags"}
    assert told >= {"provenance.git_clean", "provenance.command_line"}
    assert kept_results.arm_result(_with(given, name=""), problems) is None


def test_annotations_that_contradict_each_other() -> None:
    """If `annotate` is to add and remove the same tag, the tag is added, and a problem is reported.

    An empty group name is kept, because it removes the arm from its group.
    """
    problems = Problems()
    found = kept_annotations.changes("note", ["a", "b"], ["b", "c"], "", problems)
    assert found == ("note", ["a", "b"], ["c"], "")
    assert _kinds(problems) == "l"
    assert kept_annotations.provenance("commit", "provenance", problems) is None
    assert kept_annotations.provenance(None, "provenance", problems) is None
    assert _kinds(problems) == "ll"


def test_a_wrong_provenance() -> None:
    """A field of a Provenance with a wrong type is left out and reported.

    A field that is None is left out without a report.
    """
    names = ("git_clean", "command_line", "packages")
    for value, told in ((5, [f"p.{name}" for name in names]), (None, [])):
        problems = Problems()
        given = _with(Provenance("commit"), **dict.fromkeys(names, value))
        assert kept_annotations.provenance(given, "p", problems) == Provenance("commit")
        assert [problem.field for problem in problems] == told


def _start(**given: Any) -> dict[str, Any]:
    fields = ("name", "attempt_id", "order", "resume_step", "restart", "group_id", "group_name")
    none = dict.fromkeys((*fields, "run_id", "provenance"))
    return none | {"run_config": RunConfig("r"), "restart": False} | given


@each(
    ("given", "arm", "config", "fields"),
    [
        ({}, "r", "r", []),
        ({"name": "a"}, "a", "r", []),
        ({"name": "a", "run_config": RunConfig("")}, "a", "a", ["run_config.name"]),
        ({"name": _WRONG}, "r", "r", ["name"]),
        ({"run_config": RunConfig("r\n")}, "r", "r\n", ["run_config.name"]),
        ({"restart": True, "resume_step": 3}, "r", "r", ["restart"]),
        ({"restart": None}, "r", "r", ["restart"]),
        ({"order": "x", "group_id": ""}, "r", "r", ["order", "group_id"]),
    ],
)
def test_the_start_of_an_arm(
    given: dict[str, Any], arm: str, config: str, fields: list[str]
) -> None:
    """`start_arm` starts an arm with any arguments, and reports each field that is wrong.

    If both `resume_step` and `restart` are given, `restart` is ignored.
    """
    problems = Problems()
    found = kept_results.start(_start(**given), problems, 10_000)
    assert (found["arm"], found["run_config"].name) == (arm, config)
    assert [problem.field for problem in problems] == fields
    assert found["resume_step"] == given.get("resume_step")
    assert found["restart"] is False


def test_arms_without_a_name() -> None:
    """An attempt that is started without an arm name gets a generated name.

    All processes of the attempt get the same name, and another attempt gets another one.
    """
    for wrong in (RunConfig(""), 5, {"lr": 1}):
        names = [
            kept_results.start(_start(run_config=wrong, attempt_id=id_), Problems(), 10_000)["arm"]
            for id_ in ("one", "one", "two")
        ]
        assert names[0] == names[1] != names[2]
        assert all(name.startswith("unnamed-") for name in names)


def test_a_wrong_declaration() -> None:
    """If some fields of a declaration are wrong, the valid fields are declared."""
    problems = Problems()
    given = {
        "hypothesis": "why",
        "success_metric": _WRONG,
        "direction": "up",
        "parent": "a//b",
        "tags": "t",
        "metadata": {"a": 1},
        "overwrite": "yes",
    }
    found = kept_results.declaration(given, problems)
    assert found | {"hypothesis": "why", "tags": ["t"], "metadata": {"a": 1}} == found
    assert (found["success_metric"], found["direction"], found["parent"]) == (None, None, "a/b")
    assert found["overwrite"] is False
    assert _kinds(problems) == "llttl"


def test_the_text_of_an_error() -> None:
    """A recorder keeps an error of 200,000 characters as a whole, since the server shortens it."""
    problems = Problems()
    assert kept_results.error("x" * 200_000, "error", problems) == "x" * 200_000
    assert kept_results.error(None, "error", problems) is None
    assert problems == []
