"""Tests of how constructors check and convert their arguments."""

import array
import math
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

import podium
import pytest
from podium import Component, EvalResult, Experiment, RunConfig, RunResult
from podium._model.results import ArmResult, DataConfig, ModelConfig

from tests.each import each


class _Tensor:
    """Resembles a PyTorch or NumPy scalar: `tolist()` returns the plain number."""

    def __init__(self, plain: Any) -> None:
        self.plain = plain

    def __float__(self) -> float:
        return float(self.plain)

    def tolist(self) -> Any:
        return self.plain


class _Name(str, Enum):  # noqa: UP042 - the form that older code has
    ACC = "acc"


def _value(given: Any) -> Any:
    return Component("c", {"x": given}).params["x"]


@each(
    ("given", "expected"),
    [
        (1, 1.0),
        (True, 1.0),
        (Decimal("0.5"), 0.5),
        (Fraction(1, 4), 0.25),
        (_Tensor(0.75), 0.75),
        (2**60, 2.0**60),
        (math.inf, math.inf),
    ],
)
def test_metrics_take_numbers_of_any_kind(given: Any, expected: float) -> None:
    """A metric can be any object with `__float__`, and becomes a float."""
    value = EvalResult("t", metrics={"x": given}).metrics["x"]
    assert (type(value), value) == (float, expected)


@each("given", ["0.5", b"1", None, [1.0], 1j, {}])
def test_metrics_take_nothing_else(given: Any) -> None:
    """A metric that is not a number, such as a string, raises a TypeError that names the key."""
    with pytest.raises(TypeError, match=r"metrics\['x'\] must be a number, not "):
        EvalResult("t", metrics={"x": given})


def test_metrics_too_large_for_a_double_are_an_error() -> None:
    """An int that is too large for a double raises an error that names the key."""
    with pytest.raises(ValueError, match=r"metrics\['x'\] must be a number that a double"):
        EvalResult("t", metrics={"x": 10**400})


def test_keys_of_metrics_are_texts() -> None:
    """A string enum as a key becomes a plain string. A key of another type is rejected."""
    metrics = EvalResult("t", metrics={_Name.ACC: 1}).metrics
    assert [type(key) for key in metrics] == [str]
    assert metrics == {"acc": 1.0}
    with pytest.raises(TypeError, match="a key of metrics must be a string, not int"):
        EvalResult("t", metrics={3: 1.0})  # type: ignore[dict-item]
    with pytest.raises(TypeError, match="metrics must be a mapping, not list"):
        EvalResult("t", metrics=[("x", 1.0)])  # type: ignore[arg-type]


@each("step", [0, -1, 2**63 - 1, -(2**63)])
def test_steps_are_integers_of_64_bits(step: int) -> None:
    """A step can be any signed integer of 64 bits."""
    assert EvalResult("t", step=step).step == step


@pytest.mark.parametrize("step", [2**63, -(2**63) - 1])
def test_steps_beyond_64_bits_are_value_errors(step: int) -> None:
    """A step of more than 64 bits raises a ValueError."""
    with pytest.raises(ValueError, match=f"step must be an integer of 64 bits, not {step}"):
        EvalResult("t", step=step)


@each("step", [100.0, Decimal(100), Fraction(100), _Tensor(100.0)])
def test_steps_may_be_integral_floats(step: Any) -> None:
    """A number without a fraction, of any library, can be a step."""
    found = EvalResult("t", step=step).step
    assert (type(found), found) == (int, 100)


@each(
    ("step", "error"),
    [
        (True, TypeError),
        ("1", TypeError),
        (1.5, ValueError),
        (math.nan, ValueError),
        (math.inf, ValueError),
        (Decimal("0.5"), ValueError),
    ],
)
def test_steps_are_nothing_else(step: Any, error: type[Exception]) -> None:
    """A step of a wrong type, such as bool, raises a TypeError.

    A step with a fraction raises a ValueError.
    """
    with pytest.raises(error, match="step must be an integer, not "):
        EvalResult("t", step=step)


_DEEP: dict[str, Any] = {}
_DEEP["a"] = _DEEP
_ANY: Any = podium
_CONFIG = podium.RunConfig("a")


@each(
    ("construct", "error", "text"),
    [
        (lambda: _ANY.RunConfig("a", seed="0"), TypeError, "seed must be an integer, not str"),
        (lambda: _ANY.RunConfig("a", seed=0.5), ValueError, "seed must be an integer, not 0.5"),
        (lambda: _ANY.RunConfig("a", tags=[1]), TypeError, "tags[0] must be a string, not int"),
        (lambda: _ANY.RunConfig("a", extras=_DEEP), ValueError, "extras contains itself, or "),
        (lambda: _ANY.Component("a", _DEEP), ValueError, "params contains itself, or is "),
        (lambda: _ANY.DataConfig("a", rows=[_DEEP]), ValueError, "rows contains itself, or "),
        (lambda: _ANY.ArmResult("a", _CONFIG, "done"), ValueError, "status must be one of "),
        (lambda: _ANY.ArmResult("a", _CONFIG, 3), TypeError, "status must be a string, not "),
        (lambda: _ANY.ArmResult("a", _CONFIG, "failed", evals=3), TypeError, "evals must be "),
        (lambda: _ANY.Experiment("a", direction="max"), ValueError, "direction must be one of"),
        (lambda: _ANY.Experiment("a", direction=1), TypeError, "direction must be a string, "),
    ],
)
def test_errors_of_constructors(
    construct: Callable[[], object], error: type[Exception], text: str
) -> None:
    """A wrong type raises a TypeError, and a wrong value a ValueError.

    The message begins with the name of the field.
    """
    with pytest.raises((TypeError, ValueError)) as caught:
        construct()
    assert type(caught.value) is error
    assert str(caught.value).startswith(text)


@each(
    ("given", "expected"),
    [
        (None, None),
        (True, True),
        (2**53 + 1, 2**53 + 1),
        (4, 4),
        (4.0, 4.0),
        ("x", "x"),
        (_Name.ACC, "acc"),
        ((1, "a", None), [1, "a", None]),
        (range(3), [0, 1, 2]),
        ({"a": {1: [2.5]}}, {"a": {"1": [2.5]}}),
        (array.array("d", [0.5]), [0.5]),
        (_Tensor(4), 4),
        (_Tensor([[1, 2]]), [[1, 2]]),
        (_Tensor(plain=True), True),
        (Decimal("0.5"), 0.5),
    ],
)
def test_values_become_plain(given: Any, expected: Any) -> None:
    """A value of another library becomes a value of a built-in type. An int stays an int."""
    value = _value(given)
    assert (type(value), value) == (type(expected), expected)


@each("given", [b"x", bytearray(b"x"), memoryview(b"x"), {1}, object(), 1j, Path("/x"), date.min])
def test_values_of_a_row_are_nothing_else(given: Any) -> None:
    """A value that JSON cannot hold raises a TypeError that names its place."""
    with pytest.raises(TypeError, match=r"breakdowns\['x'\]\[1\]\['y'\] must be None, a bool, "):
        EvalResult("t", breakdowns={"x": [0, {"y": given}]})


class _Color(Enum):
    RED = "red"
    PAIR = (1, 2)


class _Device:
    def __repr__(self) -> str:
        return "cuda:0"


@each(
    ("given", "expected"),
    [
        (Path("/data/x"), "/data/x"),
        (Fraction(10**400, 3), f"{10**400}/3"),
        (Decimal("sNaN"), "sNaN"),
        (_Color.RED, "red"),
        (_Color.PAIR, "PAIR"),
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, 12, tzinfo=UTC), "2024-02-29T12:00:00+00:00"),
        (timedelta(seconds=90), "0:01:30"),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset("ba"), ["a", "b"]),
        (b"text", "text"),
        (2**70, "1180591620717411303424"),
        (-(2**63) - 1, "-9223372036854775809"),
        (1j, "1j"),
        (int, "builtins.int"),
        (len, "builtins.len"),
        (math.sqrt, "math.sqrt"),
        (_Device(), "cuda:0"),
        ([{"a": Path("b")}], [{"a": "b"}]),
    ],
)
def test_settings_with_an_obvious_text_become_it(given: Any, expected: Any) -> None:
    """A setting that JSON cannot hold becomes a string, or a sorted list if it is a set."""
    value = _value(given)
    assert (type(value), value) == (type(expected), expected)


@each("given", [object(), b"\xff", threading.Lock()])
def test_settings_without_a_repr_are_an_error(given: Any) -> None:
    """A setting without a repr of its own raises a TypeError that names its place."""
    with pytest.raises(TypeError, match=r"params\['x'\]\[1\]\['y'\] must be None, a bool, "):
        _value([0, {"y": given}])


def test_integers_of_thousands_of_digits() -> None:
    """In settings, integers too long for Python's conversion to decimal become hexadecimal."""
    large = 1 << 20_000
    assert RunConfig("a", extras={"x": large}).extras == {"x": hex(large)}
    by_number: Any = {large: 1}
    assert RunConfig("a", extras=by_number).extras == {hex(large): 1}
    with pytest.raises(ValueError, match="seed must be an integer of 64 bits, not one of 20,001"):
        RunConfig("a", seed=large)


def test_integers_in_values_have_64_bits() -> None:
    """An int of more than 64 bits in a breakdown raises a ValueError."""
    assert EvalResult("t", breakdowns={"x": 2**63 - 1}).breakdowns == {"x": 2**63 - 1}
    with pytest.raises(ValueError, match=r"breakdowns\['x'\] must be an integer of 64 bits"):
        EvalResult("t", breakdowns={"x": 2**63})


@each(
    "make",
    [
        EvalResult,
        lambda text: EvalResult("t", metrics={text: 1}),
        lambda text: EvalResult("t", tags=[text]),
        lambda text: EvalResult("t", breakdowns={"a": [text]}),
    ],
)
def test_a_lone_surrogate_is_an_error(make: Any) -> None:
    """A string that UTF-8 cannot encode raises a ValueError."""
    with pytest.raises(ValueError, match="has an unpaired surrogate"):
        make("a\ud800")


def test_keys_of_breakdowns_become_texts() -> None:
    """Keys of breakdowns that are numbers, bools, None or tuples become strings, at every depth."""
    given = {0: 0.5, True: 1, (1, 2): {3: 4}, _Name.ACC: 2, None: 5}
    breakdowns = EvalResult("t", breakdowns=given).breakdowns  # type: ignore[arg-type]
    assert breakdowns == {"0": 0.5, "True": 1, "(1, 2)": {"3": 4}, "acc": 2, "None": 5}


def test_keys_that_become_the_same_string_are_rejected() -> None:
    """Two keys that become the same string are rejected."""
    with pytest.raises(ValueError, match="two keys of breakdowns become the same text '1'"):
        EvalResult("t", breakdowns={1: 0.5, "1": 0.6})  # type: ignore[dict-item]


def test_a_value_that_contains_itself_is_an_error() -> None:
    """A value that contains itself raises a ValueError."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="nested more than 40 levels deep"):
        _value(endless)


def test_containers_are_copied() -> None:
    """If a dict or list is changed after it was given, the result does not change."""
    metrics, tags, rows = {"loss": 0.5}, ["val"], [EvalResult("t")]
    deep = {"a": [1]}
    row = EvalResult("t", metrics=metrics, breakdowns=deep, tags=tags)
    arm = ArmResult("a", RunConfig("a"), "running", metrics, evals=rows)
    metrics["loss"], deep["a"][0] = 0.1, 2
    tags.append("x")
    rows.clear()
    assert (row.metrics, row.tags, row.breakdowns) == ({"loss": 0.5}, ["val"], {"a": [1]})
    assert (arm.metrics, len(arm.evals)) == ({"loss": 0.5}, 1)


def test_a_string_is_not_a_list_of_tags() -> None:
    """Tags must be a list of strings. A single string or bytes is rejected."""
    with pytest.raises(TypeError, match="tags must be a list of strings, not str"):
        EvalResult("t", tags="test")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tags must be a list of strings, not bytes"):
        EvalResult("t", tags=b"test")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"tags\[1\] must be a string, not int"):
        RunConfig("r", tags=["a", 1])  # type: ignore[list-item]
    assert EvalResult("t", tags=("a", "b")).tags == ["a", "b"]  # type: ignore[arg-type]


def test_parts_have_their_classes() -> None:
    """A dict or string in place of a dataclass raises a TypeError that names the field."""
    with pytest.raises(TypeError, match="run_config must be of type RunConfig, not dict"):
        ArmResult("a", {"name": "a"}, "running")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"evals\[0\] must be of type EvalResult, not str"):
        ArmResult("a", RunConfig("a"), "running", evals=["val"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="data must be of type DataConfig, not dict"):
        RunConfig("r", data={"source_kind": "hf"})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="rows must be a list, not str"):
        DataConfig("in_memory", rows="abc")  # type: ignore[arg-type]


def test_names_are_texts() -> None:
    """A name must be a string. A string of a subclass of str becomes a plain str."""
    with pytest.raises(TypeError, match="name must be a string, not None"):
        EvalResult(None)  # type: ignore[arg-type]
    assert type(EvalResult(_Name.ACC).name) is str
    with pytest.raises(TypeError, match=r"artifacts\['log'\] must be a string, not int"):
        RunResult("r", "ok", artifacts={"log": 3})  # type: ignore[dict-item]


def test_directions_are_their_texts() -> None:
    """A direction is `maximize`, `minimize` or None."""
    assert Experiment("e", direction="minimize").direction == "minimize"
    assert Experiment("e").direction is None
    with pytest.raises(ValueError, match="direction must be one of maximize, minimize; not 'up'"):
        Experiment("e", direction="up")


class _OwnList(float):
    """Resembles NumPy's longdouble: its `tolist()` returns an object of its own type."""

    def tolist(self) -> "_OwnList":
        """Returns itself."""
        return self


class _ListOfItself:
    """Is a number with `__float__`. Its `tolist()` returns an object of its own type."""

    def __float__(self) -> float:
        return 0.5

    def tolist(self) -> "_ListOfItself":
        """Returns itself."""
        return self


@pytest.mark.parametrize("given", [_OwnList(0.5), _ListOfItself()])
def test_a_scalar_whose_list_is_itself_is_a_number(given: Any) -> None:
    """A scalar in a breakdown becomes a float, even if its `tolist()` returns itself."""
    row = EvalResult("val", breakdowns={"x": given})
    assert row.breakdowns == {"x": 0.5}
    assert type(row.breakdowns["x"]) is float


def test_each_text_of_a_configuration_is_plain() -> None:
    """A string of a subclass of str becomes a plain str in a configuration.

    A value of another type raises an error that names the field.
    """
    kinds: dict[type, tuple[str, ...]] = {
        DataConfig: ("source_kind", "dataset_id", "dataset_name", "path", "hf_dataset", "hf_split"),
        ModelConfig: ("name", "load_checkpoint_path", "init_from_checkpoint", "renderer_name"),
        Component: ("kind",),
        RunConfig: ("name",),
    }
    for kind, names in kinds.items():
        made = kind(**dict.fromkeys(names, _Name.ACC))
        assert {type(getattr(made, name)) for name in names} == {str}
        for name in names:
            with pytest.raises(TypeError, match=f"^{name} must be a string, not int$"):
                kind(**{**dict.fromkeys(names, "x"), name: 3})
