"""Wrong values for arguments, and the value that is recorded for each."""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import podium
import pytest

from tests.client.recorder.looking import told

__all__ = [
    "BREAKDOWN",
    "BREAKDOWNS",
    "CONFIG",
    "METRIC",
    "METRICS",
    "NAMED",
    "OPTIONAL_NAME",
    "OPTIONAL_SECONDS",
    "ROW_NAME",
    "SECONDS",
    "SILENT",
    "STEP",
    "TAGS",
    "UNIQUE",
    "VALUES",
    "Expected",
    "only",
    "said",
    "same",
]

CONFIG = podium.RunConfig("arm", seed=0)


class Broken:
    """A number whose conversion to float raises, as on a GPU that has failed."""

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
"""For each key of `VALUES`: the recorded value, and whether a warning names the argument."""


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


def only(lost: Any, **kept: tuple[Any, bool]) -> Expected:
    """Expects each value to be replaced by `lost` with a warning, except for those in `kept`."""
    named = {name.replace("_", " "): outcome for name, outcome in kept.items()}
    return dict.fromkeys(VALUES, (lost, NAMED)) | named


UNIQUE = re.compile(r"-[0-9a-f]{8}$")
"""The suffix that makes the name of a row unique."""
OPTIONAL_NAME = _names(None, none=(None, SILENT))
ROW_NAME = _names("unnamed", none=("unnamed", NAMED))
STEP = only(
    None,
    none=(None, SILENT),
    int=(5, SILENT),
    integral_float=(6, SILENT),
    fraction=(1, NAMED),
    digits=(3, NAMED),
)
TAGS = only(
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
SECONDS = only(
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
METRICS = only({}, dict=({"k": 1.0}, SILENT))
METRIC = only(
    {},
    true=({"m": 1.0}, SILENT),
    int=({"m": 5.0}, SILENT),
    integral_float=({"m": 6.0}, SILENT),
    fraction=({"m": 1.5}, SILENT),
    nan=({"m": math.nan}, SILENT),
    infinity=({"m": math.inf}, SILENT),
    large_int=({"m": 2.0**70}, SILENT),
)
BREAKDOWNS = only({}, none=({}, SILENT), dict=({"k": 1}, SILENT))
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


def said(caplog: pytest.LogCaptureFixture, argument: str) -> bool:
    """Returns whether the last call logged a warning.

    Asserts that it logged at most one warning, which names the argument and the calling file.
    """
    lines = told(caplog)
    records = [record for record in caplog.records if record.levelname == "WARNING"]
    for line, record in zip(lines, records, strict=True):
        assert argument in line
        assert "test_wrong_values.py:" in line
        assert Path(record.pathname).name == "test_wrong_values.py"
    assert len(lines) < 2
    caplog.clear()
    return bool(lines)


def same(left: Any, right: Any) -> bool:
    """Returns whether two values are equal, where NaN equals NaN."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return bool(left == right or (left != left and right != right))  # noqa: PLR0124 - NaN
