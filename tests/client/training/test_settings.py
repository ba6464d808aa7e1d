"""The arguments of a library become plain values, which are the same in each process."""

import enum
import sys
from datetime import date
from functools import partial
from pathlib import Path

import numpy as np
from podium.integrations._callers import caller_variables
from podium.integrations._settings import plain, seed_of, settings_of

from tests import zygote
from tests.each import each


class _Kind(enum.StrEnum):
    COSINE = "cosine"


class _Pooling(enum.Enum):
    MEAN = 1


class _Broken:
    def __str__(self) -> str:
        raise ValueError


def _metric() -> None: ...


def test_plain_values() -> None:
    """Numbers of any library, enums, sets and functions become JSON values.

    Other objects become the names of their classes, without memory addresses.
    """
    given = {
        "rate": np.float32(0.5),
        "layers": np.int64(3),
        "kind": _Kind.COSINE,
        "targets": {"v", "q"},
        "metric": _metric,
        "model": object(),
        "nothing": None,
        "is_on": True,
        "output": "/tmp/run",  # noqa: S108 - nothing is written there
    }
    told = settings_of(given, without=frozenset({"output"}))
    assert told == {
        "rate": 0.5,
        "layers": 3,
        "kind": "cosine",
        "targets": ["q", "v"],
        "metric": f"{__name__}._metric",
        "model": "builtins.object",
        "is_on": True,
    }
    assert type(told["layers"]) is int
    assert type(told["kind"]) is str


@each(
    ("given", "expected"),
    [
        (Path("data/a.txt"), "data/a.txt"),
        (_Pooling.MEAN, 1),
        (np.dtype("int8"), "int8"),
        (np.array([64, 32]), [64, 32]),
        (date(2026, 1, 2), "2026-01-02"),
        (partial(int, base=2), "functools.partial(<class 'int'>, base=2)"),
        (np.zeros((300, 300)), "numpy.ndarray"),
        (partial(_metric), "functools.partial"),
        (_Broken(), f"{__name__}._Broken"),
    ],
)
def test_objects_with_a_text(given: object, expected: object) -> None:
    """An object becomes its text, an enum its value, and a small array the list of its items.

    A large array becomes the name of its class. So does an object whose text has a memory address,
    or whose text cannot be made.
    """
    assert plain(given) == expected


def test_what_is_too_deep_or_too_long_is_shortened() -> None:
    """An argument of any size is shortened to the limits of a configuration."""
    deep: object = 1
    for _ in range(20):
        deep = {"a": [deep]}
    assert "builtins." in str(plain(deep))
    assert len(plain(list(range(1_000)))) == 200
    assert len(plain("x" * 10_000)) == 2_000


def test_integers_that_are_too_large_for_the_protocol() -> None:
    """An integer that does not fit into 64 bits becomes a string, and raises no error."""
    assert plain([2**63 - 1, 2**63, -(2**63)]) == [2**63 - 1, str(2**63), -(2**63)]


@each(
    ("given", "seed"),
    [
        *((7, 7), ("7", 7), (None, None), ("no", None), (True, None), (0, 0)),
        *((2**63, None), (2**63 - 1, 2**63 - 1), (-(2**63), -(2**63)), (-(2**63) - 1, None)),
    ],
)
def test_seeds(given: object, seed: int | None) -> None:
    """A seed may be an integer in a string. A value that is not a 64-bit integer becomes None."""
    assert seed_of(given) == seed


@each(
    ("module", "library"),
    [
        ("keras", "keras"),
        ("lightgbm", "lightgbm"),
        ("lightning", "pytorch-lightning"),
        ("transformers", "transformers"),
        ("xgboost", "xgboost"),
    ],
)
def test_a_library_that_is_missing(module: str, library: str) -> None:
    """If the library of a module is missing, the import error names the package to install."""
    absent = library.replace("-", "_")
    code = f"import sys; sys.modules['{absent}'] = None; import podium.integrations.{module}"
    ended = zygote.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 1
    assert f"install it: pip install {library}" in ended.stderr


def _call(rate: float) -> object:
    shown = f"{rate:g}"  # noqa: F841 - read by caller_variables
    return caller_variables(__name__, "rate")["shown"]


def test_variables_of_a_caller() -> None:
    """`caller_variables` returns the variables of a caller that has a variable of the given name.

    If there is no such caller, it returns an empty dict and raises no error.
    """
    assert _call(0.5) == "0.5"
    assert caller_variables("no.such.module", "rate") == {}
