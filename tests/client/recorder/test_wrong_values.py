"""Every argument of every recording method with wrong values: what is kept, and what is said."""

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import podium
import pytest

from tests.client.recorder.looking import told

CONFIG = podium.RunConfig("arm", seed=0)


class Broken:
    """A number of a library whose device has failed."""

    def __float__(self) -> float:
        raise RuntimeError("device-side assert triggered")


VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "int": 5,
    "integral float": 6.0,
    "fraction": 1.5,
    "nan": math.nan,
    "infinity": math.inf,
    "large int": 2**70,
    "text": "text",
    "digits": "3",
    "empty text": "",
    "control character": "a\0b",
    "surrogate": "a\ud800",
    "long text": "x" * 300,
    "bytes": b"b",
    "no utf-8": b"\xff",
    "list": [1],
    "dict": {"k": 1},
    "set": {1},
    "path": Path("/p"),
    "object": object(),
    "broken": Broken(),
}

SILENT, NAMED = False, True

Expected = dict[str, tuple[Any, bool]]
"""By value: the recorded value, and whether a warning names the argument."""


def _names(lost: Any, *, none: tuple[Any, bool]) -> Expected:
    texts = {
        "true": "True",
        "int": "5",
        "integral float": "6.0",
        "fraction": "1.5",
        "nan": "nan",
        "infinity": "inf",
        "large int": "1180591620717411303424",
        "control character": "ab",
        "surrogate": "a\\ud800",
        "bytes": "b",
        "path": "/p",
    }
    expected: Expected = dict.fromkeys(VALUES, (lost, NAMED))
    expected |= {value: (text, NAMED) for value, text in texts.items()}
    expected["long text"] = ("x" * 245 + "…" + "0d4e2ca9", NAMED)
    return expected | {"none": none, "text": ("text", SILENT), "digits": ("3", SILENT)}


def _only(lost: Any, **kept: tuple[Any, bool]) -> Expected:
    named = {name.replace("_", " "): outcome for name, outcome in kept.items()}
    return dict.fromkeys(VALUES, (lost, NAMED)) | named


_UNIQUE = re.compile(r"-[0-9a-f]{8}$")
"""The suffix that makes the name of a row unique."""
OPTIONAL_NAME = _names(None, none=(None, SILENT))
ROW_NAME = _names("unnamed", none=("unnamed", NAMED))
STEP = _only(
    None,
    none=(None, SILENT),
    int=(5, SILENT),
    integral_float=(6, SILENT),
    fraction=(1, NAMED),
    digits=(3, NAMED),
)
TAGS = _only(
    [],
    text=(["text"], NAMED),
    digits=(["3"], NAMED),
    control_character=(["ab"], NAMED),
    surrogate=(["a\\ud800"], NAMED),
    list=(["1"], NAMED),
    set=(["1"], NAMED),
    dict=(["k"], SILENT),
)
TAGS["long text"] = ([OPTIONAL_NAME["long text"][0]], NAMED)
SECONDS = _only(
    0.0,
    true=(1.0, SILENT),
    int=(5.0, SILENT),
    integral_float=(6.0, SILENT),
    fraction=(1.5, SILENT),
    large_int=(2.0**70, SILENT),
)
OPTIONAL_SECONDS = SECONDS | {
    name: (None, said) for name, (kept, said) in SECONDS.items() if kept == 0.0
}
OPTIONAL_SECONDS["none"] = (None, SILENT)
METRICS = _only({}, dict=({"k": 1.0}, SILENT))
METRIC = _only(
    {},
    true=({"m": 1.0}, SILENT),
    int=({"m": 5.0}, SILENT),
    integral_float=({"m": 6.0}, SILENT),
    fraction=({"m": 1.5}, SILENT),
    nan=({"m": math.nan}, SILENT),
    infinity=({"m": math.inf}, SILENT),
    large_int=({"m": 2.0**70}, SILENT),
)
BREAKDOWNS = _only({}, none=({}, SILENT), dict=({"k": 1}, SILENT))
BREAKDOWN: Expected = {
    **{name: ({"b": value}, SILENT) for name, value in list(VALUES.items())[:17]},
    "integral float": ({"b": 6.0}, SILENT),
    "large int": ({"b": "1180591620717411303424"}, NAMED),
    "control character": ({"b": "a\0b"}, SILENT),
    "surrogate": ({"b": "a\\ud800"}, NAMED),
    "bytes": ({"b": "b"}, NAMED),
    "no utf-8": ({}, NAMED),
    "list": ({"b": [1]}, SILENT),
    "dict": ({"b": {"k": 1}}, SILENT),
    "set": ({"b": [1]}, NAMED),
    "path": ({"b": "/p"}, NAMED),
    "object": ({}, NAMED),
    "broken": ({}, NAMED),
}

ROWS: dict[str, tuple[Callable[[Any], dict[str, Any]], str, Expected]] = {
    "name": (lambda value: {"name": value}, "name", ROW_NAME),
    "metrics": (lambda value: {"metrics": value}, "metrics", METRICS),
    "a metric": (lambda value: {"metrics": {"m": value}}, "metrics", METRIC),
    "step": (lambda value: {"step": value}, "step", STEP),
    "tags": (lambda value: {"tags": value}, "tags", TAGS),
    "breakdowns": (lambda value: {"breakdowns": value}, "breakdowns", BREAKDOWNS),
    "a breakdown": (lambda value: {"breakdowns": {"b": value}}, "breakdowns", BREAKDOWN),
    "benchmark_id": (lambda value: {"benchmark_id": value}, "benchmark_id", OPTIONAL_NAME),
    "eval_seconds": (lambda value: {"eval_seconds": value}, "eval_seconds", SECONDS),
    "model_ref": (lambda value: {"model_ref": value}, "model_ref", OPTIONAL_NAME),
}


def _said(caplog: pytest.LogCaptureFixture, argument: str) -> bool:
    """Whether the last call was warned about: one line, with the argument and this file."""
    lines = told(caplog)
    records = [record for record in caplog.records if record.levelname == "WARNING"]
    for line, record in zip(lines, records, strict=True):
        assert argument in line
        assert "test_wrong_values.py:" in line
        assert record.pathname == __file__
    assert len(lines) < 2
    caplog.clear()
    return bool(lines)


@pytest.mark.parametrize("case", ROWS)
def test_an_argument_of_a_row(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    """A wrong argument of log_eval is left out or converted, and named; the row is kept."""
    arguments, argument, expected = ROWS[case]
    assert expected.keys() == VALUES.keys()
    wrong = 0
    for number, (kind, value) in enumerate(VALUES.items()):
        with record(name) as experiment, experiment.start_arm(CONFIG, name=f"{number}") as arm:
            given = {"name": "val", "metrics": {"n": number}} | arguments(value)
            arm.log_eval(**given)
            said = _said(caplog, argument)
            assert said is expected[kind][1], kind
            wrong += said
            assert arm.flush(0).incomplete <= said
    assert wrong >= 4
    for number, kind in enumerate(VALUES):
        (row,) = client.arm(name, f"{number}").evals()
        found = getattr(row, argument)
        found = _UNIQUE.sub("", found) if argument == "name" else found
        assert _same(found, expected[kind][0]), kind
        if argument != "metrics":
            assert row.metrics == {"n": float(number)}


@pytest.mark.parametrize("step", [math.nan, True, 2**70, [3], "soon"])
def test_a_row_whose_step_is_lost_is_no_result(
    record: Any, client: podium.Client, name: str, step: Any
) -> None:
    """Its row gets a name of its own: as the post-training row it would change the score."""
    with record(name) as experiment, experiment.start_arm(CONFIG, "arm") as arm:
        arm.log_eval("val", {"a": 0.5}, step=1)
        arm.log_eval("val", {"a": 9}, step=step)
        arm.log_eval("val", {"a": 8}, step=step)
    found = client.arm(name, "arm")
    assert found.score("val.a") == 0.5
    kept = [row for row in found.evals() if row.name != "val"]
    assert {_UNIQUE.sub("", row.name) for row in kept} == {"val without its step"}
    assert [row.metrics["a"] for row in kept] == [9.0, 8.0]


def test_rows_without_a_name_replace_no_other(
    record: Any, client: podium.Client, name: str
) -> None:
    """Each of them gets a name of its own."""
    with record(name) as experiment, experiment.start_arm(CONFIG, "arm") as arm:
        arm.log_eval(None, {"a": 1})
        arm.log_eval("", {"a": 2})
    assert [row.metrics["a"] for row in client.arm(name, "arm").evals()] == [1.0, 2.0]


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    return bool(left == right or (left != left and right != right))  # noqa: PLR0124 - NaN


@pytest.mark.parametrize("case", ROWS)
def test_an_argument_of_a_row_if_strict(
    record: Any, client: podium.Client, name: str, case: str
) -> None:
    """With strict, a wrong argument raises an error that names it, and records nothing."""
    arguments, argument, expected = ROWS[case]
    with record(name, strict=True) as experiment, experiment.start_arm(CONFIG) as arm:
        for number, (kind, value) in enumerate(VALUES.items()):
            given = {"name": "val", "metrics": {"n": number}, "step": number} | arguments(value)
            if not expected[kind][1]:
                arm.log_eval(**given)
                continue
            with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
                arm.log_eval(**given)
            assert argument in str(caught.value), kind
    recorded = sum(not said for _, said in expected.values())
    rows = list(client.arm(name, "arm").evals())
    assert len(rows) <= recorded


OTHERS: dict[str, tuple[Callable[..., Any], Expected, Callable[[podium.ArmResult], Any]]] = {
    "log: metrics": (lambda arm, value: arm.log(value), METRICS, lambda arm: arm.metrics),
    "log: a metric": (lambda arm, value: arm.log({"m": value}), METRIC, lambda arm: arm.metrics),
    "finish: train_seconds": (
        lambda arm, value: arm.finish(train_seconds=value),
        OPTIONAL_SECONDS,
        lambda arm: arm.train_seconds,
    ),
    "finish: status": (
        lambda arm, value: arm.finish(value),
        _only(
            "completed",
            text=("failed", NAMED),
            digits=("failed", NAMED),
            long_text=("failed", NAMED),
            control_character=("failed", NAMED),
            surrogate=("failed", NAMED),
        ),
        lambda arm: arm.status,
    ),
    "finish: run_result": (
        lambda arm, value: arm.finish(run_result=value),
        _only(None, none=(None, SILENT)),
        lambda arm: arm.run_result,
    ),
    "finish: error": (
        lambda arm, value: arm.finish("failed", error=value),
        OPTIONAL_NAME
        | {
            "empty text": ("", SILENT),
            "control character": ("a\\x00b", SILENT),
            "surrogate": ("a\\ud800", NAMED),
            "long text": ("x" * 300, SILENT),
        },
        lambda arm: arm.error,
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_an_argument_of_log_and_finish(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture, case: str
) -> None:
    """A wrong argument is left out or converted, and named; the arm ends, and later rows count."""
    call, expected, found = OTHERS[case]
    argument = case.rpartition(" ")[2].replace("metric", "metrics").replace("metricss", "metrics")
    for number, (kind, value) in enumerate(VALUES.items()):
        with record(name) as experiment, experiment.start_arm(CONFIG, name=f"{number}") as arm:
            call(arm, value)
            assert _said(caplog, argument) is expected[kind][1], kind
            arm.log_eval("after", {"n": 1})
    for number, kind in enumerate(VALUES):
        got = client.arm(name, f"{number}").get()
        assert _same(found(got), expected[kind][0]), kind
        assert got.eval("after") is not None


STARTS: dict[str, tuple[Expected, Callable[[podium.ArmResult], Any]]] = {
    "group_id": (OPTIONAL_NAME, lambda arm: arm.group_id),
    "group_name": (OPTIONAL_NAME, lambda arm: arm.group_name),
    "run_id": (OPTIONAL_NAME, lambda arm: arm.run_id),
    "order": (
        _only(..., none=(..., SILENT), int=(5, SILENT), integral_float=(6, SILENT)),
        lambda arm: arm.attempt and (arm.attempt.order if arm.attempt.order < 10 else ...),
    ),
    "restart": (_only([]), lambda arm: arm.evals),
    "resume_step": (
        dict.fromkeys(VALUES, ([], NAMED))
        | {kind: ([], SILENT) for kind in ("none", "int", "integral float")},
        lambda arm: arm.evals,
    ),
}
STARTS["restart"][0]["true"] = ([], SILENT)


@pytest.mark.parametrize("argument", STARTS)
def test_an_argument_of_start_arm(
    record: Any,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    argument: str,
) -> None:
    """A wrong argument of start_arm is left out or converted, and named; the arm is recorded."""
    expected, found = STARTS[argument]
    for number, (kind, value) in enumerate(VALUES.items()):
        with record(name) as experiment:
            arm = experiment.start_arm(CONFIG, name=f"{number}", **{argument: value})
            assert _said(caplog, argument) is expected[kind][1], kind
            assert not arm.is_silent
            arm.log({"loss": number})
            arm.finish()
    for number, kind in enumerate(VALUES):
        got = client.arm(name, f"{number}").get()
        assert got.metrics == {"loss": float(number)}
        assert found(got) == expected[kind][0], kind


@pytest.mark.parametrize("argument", ["name", "run_config"])
@pytest.mark.parametrize("kind", VALUES)
def test_an_arm_without_a_valid_name(
    record: Any,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    argument: str,
    kind: str,
) -> None:
    """Whatever the name of an arm is, it is recorded under some name, and its values are kept."""
    with record(name) as experiment:
        given = {"run_config": CONFIG, argument: VALUES[kind]}
        with experiment.start_arm(**given) as arm:
            is_fine = argument == "name" and kind in {"none", "text", "digits"}
            assert _said(caplog, argument) is not is_fine
            arm.log({"loss": 1})
    (got,) = client.experiment(name).arms()
    assert got.name == arm.name
    assert client.arm(name, got.name).score("loss") == 1.0
    if is_fine:
        assert got.name == {"none": "arm", "text": "text", "digits": "3"}[kind]


DECLARATIONS = [
    "hypothesis",
    "success_metric",
    "direction",
    "parent",
    "tags",
    "metadata",
    "overwrite",
    "address",
    "attempt",
    "rank",
    "close_timeout",
    "max_bytes",
]


@pytest.mark.parametrize("argument", DECLARATIONS)
def test_an_argument_of_record(
    record: Any,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    argument: str,
) -> None:
    """No argument of `record` raises or loses an arm; the wrong ones are named."""
    wrong = 0
    for number, value in enumerate(VALUES.values()):
        if argument == "rank" and (value in (True, 5) or value == 6.0):
            continue  # another rank than the main one records nothing
        if argument == "max_bytes" and value in (5, 6.0):
            continue  # an outbox of five bytes takes nothing
        is_elsewhere = argument == "address"
        given = {argument: value, "offline": is_elsewhere}
        with record(f"{name}/{number}", **given) as experiment:
            wrong += _said(caplog, "")
            with experiment.start_arm(CONFIG) as arm:
                arm.log({"loss": 1})
        caplog.clear()
        if not is_elsewhere and argument != "max_bytes":
            assert client.arm(f"{name}/{number}", "arm").score("loss") == 1.0
    assert wrong > 10


@pytest.mark.parametrize(
    "call",
    [
        lambda experiment, _: experiment.start_arm(),
        lambda experiment, _: experiment.start_arm(CONFIG, name="other", group="g"),
        lambda experiment, _: experiment.arm(),
        lambda experiment, _: experiment.record_arm(),
        lambda experiment, _: experiment.conclude(),
        lambda experiment, _: experiment.conclude("a", "b"),
        lambda experiment, _: experiment.flush(1, 2, 3),
        lambda _, arm: arm.log(),
        lambda _, arm: arm.log({"a": 1}, stp=3),
        lambda _, arm: arm.log("loss", 0.3, 1),
        lambda _, arm: arm.log_eval("val"),
        lambda _, arm: arm.log_eval("val", {"n": 1}, 100, metrics={}),
        lambda _, arm: arm.log_eval(pass_rate=0.5),
        lambda _, arm: arm.evaluating(),
        lambda _, arm: arm.evaluating("val", 100, "x", "y", "z", "too many"),
        lambda _, arm: arm.evaluating("val").log(),
        lambda _, arm: arm.evaluating("val").log({"n": 1}, {"b": 1}, 3),
        lambda _, arm: arm.finish(reason="done"),
        lambda _, arm: arm.flush(seconds=1),
    ],
)
def test_a_wrong_signature(
    record: Any,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    call: Callable[..., Any],
) -> None:
    """Arguments that fit no signature are named, and the others used; with strict it raises."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        call(experiment, arm)
        assert "argument" in told(caplog)[0] or "twice" in told(caplog)[0]
        assert "test_wrong_values.py:" in told(caplog)[0]
        assert not arm.flush(60).pending
        assert not experiment.flush(60).durable
        arm.log({"after": 1})
    assert client.arm(name, "arm").score("after") == 1.0
    with (
        record(name, strict=True) as experiment,
        experiment.start_arm(CONFIG, restart=True) as arm,
        pytest.raises(TypeError),
    ):
        call(experiment, arm)


def test_record_with_a_wrong_signature(
    record: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Arguments that `record` does not have are named; without a name, a new one is made."""
    with record(name, project="p", offline=True) as experiment:
        assert experiment.name == name
    assert "there is no argument 'project'" in told(caplog)[0]
    with record(offline=True) as experiment:
        assert experiment.name.startswith("unnamed/")
    with pytest.raises(TypeError, match="project"):
        record(name, project="p", strict=True)


def test_positions_are_taken_for_names(record: Any, client: podium.Client, name: str) -> None:
    """A step that is given by position is a step, and no post-training row."""
    with record(name) as experiment, experiment.start_arm(CONFIG, "other") as arm:
        arm.log_eval("val", {"n": 1}, 100, ["t"])
    assert list(client.arm(name, "other").evals()) == [
        podium.EvalResult("val", metrics={"n": 1}, step=100, tags=["t"])
    ]


def test_a_large_config(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A value over a limit is shortened and named. Everything else is unchanged."""
    config = podium.RunConfig(
        "arm",
        data=podium.DataConfig("path", path="p" * 70_000),
        algorithm=podium.Component(
            "sft",
            {
                "rank": 4,
                "ids": list(range(10_001)),
                "prompt": "q" * 1_200_000,
                "deep": {"1": {"2": {"3": {"4": {"5": {"6": {"7": {"8": 9}}}}}}}},
                "k" * 300: 1,
            },
        ),
        eval={str(number): number for number in range(1_100)},
        seed=7,
        tags=["t" * 300, "fine"],
    )
    with record(name) as experiment, experiment.start_arm(config) as arm:
        arm.log({"loss": 1})
        assert arm.flush(60).rejected == 0
        assert not experiment.flush(60).durable
    (line,) = told(caplog)
    for field in ("data.path", "['ids']", "['prompt']", "['7']", "tags[0]", "eval has 1,100 keys"):
        assert f"run_config.{field}" in line or field in line, field
    got = client.arm(name, "arm").get()
    assert got.metrics == {"loss": 1.0}
    kept = got.run_config
    assert kept.algorithm is not None
    assert (kept.seed, kept.tags[1], kept.algorithm.params["rank"]) == (7, "fine", 4)
    assert kept.algorithm.params["ids"][:9_000] == list(range(9_000))
    assert len(kept.algorithm.params["prompt"]) > 100_000
    assert sorted(kept.eval.values()) == list(range(1_000))
    assert kept.data is not None
    assert kept.data.path is not None
    assert len(kept.data.path.encode()) in range(65_530, 65_537)


def test_many_metrics(record: Any, client: podium.Client, name: str) -> None:
    """Known keys are always kept, and new ones as long as an arm has room for them."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log({f"k{number}": 0 for number in range(900)})
        arm.log({"k0": 1, **{f"new{number}": 1 for number in range(200)}})
        arm.log({"k1": 2, "new150": 2})
        arm.log_eval("many", {f"k{number}": number for number in range(1_500)})
        assert arm.flush(60).rejected == 0
        assert arm.flush(60).incomplete == 3
    got = client.arm(name, "arm").get()
    assert len(got.metrics) == 1_000
    assert [got.metrics.get(key) for key in ("k0", "k1", "new99")] == [1.0, 2.0, 1.0]
    assert [got.metrics.get(key) for key in ("new100", "new150")] == [None, None]
    assert len(got.evals[0].metrics) == 1_000


def test_a_large_whole_arm(record: Any, client: podium.Client, name: str) -> None:
    """A whole arm over the limits of a call becomes several events, in order."""
    rows = [
        podium.EvalResult("val", metrics={f"m{n}": step for n in range(10)}, step=step)
        for step in range(1_500)
    ]
    whole = podium.ArmResult("arm", CONFIG, "completed", evals=rows)
    with record(name) as experiment:
        experiment.record_arm(whole)
        assert experiment.flush(60).durable
    assert client.arm(name, "arm").get() == whole


def test_each_problem_is_named_once(
    record: Any, client: podium.Client, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A field is named the first time, all bad keys of a call in one line, and others later."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        for number in range(20):
            arm.log({f"bad{number % 10}": "x", "also": None, "good": number})
        arm.log_eval("test", {"acc": 1, "late": "x"}, tags=["test"])
    lines = told(caplog)
    assert "metrics['bad0']" in lines[0]
    assert "metrics['also']" in lines[0]
    assert [f"metrics['bad{number}']" in lines[number] for number in range(10)] == [True] * 10
    assert "metrics['late']" in lines[10]
    assert lines[11] == "podium: log: metrics['bad0'] left out: 1 more time, in arm 'arm'"
    assert lines[12] == "podium: log: metrics['also'] left out: 19 more times, in arm 'arm'"
    assert len(lines) == 11 + 11
    assert client.arm(name, "arm").get().metrics == {"good": 19.0}


def test_a_warning_names_the_arm_and_the_value(
    record: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning names place, arm, value and outcome; the end notice names the other arms."""
    with record(name) as experiment:
        for arm_name in ("a", "b", "c"):
            with experiment.start_arm(CONFIG, name=arm_name) as arm:
                arm.log({"loss": "high"})
                arm.log_eval("val", {}, stp=3)
    assert all(f"{Path(__file__).name}:" in line for line in told(caplog)[:2])
    warnings = [re.sub(r"\S+\.py:\d+: ", "", line) for line in told(caplog)]
    arm_a = f"arm 'a' of {name!r}"
    assert warnings == [
        f"podium: log of {arm_a}: metrics['loss'] must be a number, not str; 'high' is left out",
        (
            f"podium: log_eval of {arm_a}: there is no argument 'stp' (did you mean 'step'?); "
            "3 is left out"
        ),
        "podium: log: metrics['loss'] left out: 2 more times, in arms 'b', 'c'",
        "podium: log_eval: stp left out: 2 more times, in arms 'b', 'c'",
    ]


def test_another_error_of_a_field_is_new(
    record: Any, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A field that is wrong in another way gets a warning of its own."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.log({"loss": "high"})
        arm.log({"loss": 10**400})
        assert [line.split("; ")[-1] for line in told(caplog)] == [
            "'high' is left out",
            f"1{'0' * 27}...{'0' * 29} is left out",
        ]


def test_a_name_for_a_run_config(record: Any, name: str, caplog: pytest.LogCaptureFixture) -> None:
    """A text in place of the configuration names the arm, and one warning explains that."""
    with record(name) as experiment, experiment.start_arm("a\nb") as arm:
        assert arm.name == "ab"
    (line,) = told(caplog)
    text = r"run_config is 'a\nb' and not a RunConfig; it is used as the name 'ab'"
    assert line.endswith(f"start_arm of arm 'ab' of {name!r}: {text}")


def test_a_name_that_is_missing(
    record: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """An experiment without a name gets one, and one warning names it."""
    with record("", outbox=tmp_path / "outbox", offline=True):
        (line,) = told(caplog)
    assert line.count("name is") == 1
    assert "record: name is ''; the experiment is named 'unnamed/" in line


@pytest.mark.parametrize(
    ("given", "recorded"),
    [
        ("fail", "failed"),
        ("FAILED", "failed"),
        ("canceled", "cancelled"),
        ("complete", "completed"),
    ],
)
def test_a_misspelt_status(
    record: Any,
    client: podium.Client,
    name: str,
    caplog: pytest.LogCaptureFixture,
    given: str,
    recorded: str,
) -> None:
    """The end of an arm takes the nearest status, and a warning names both."""
    with record(name) as experiment, experiment.start_arm(CONFIG) as arm:
        arm.finish(given)
    assert client.arm(name, "arm").get().status == recorded
    (line,) = told(caplog)
    assert repr(given) in line
    assert recorded in line
