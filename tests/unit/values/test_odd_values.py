"""Tests of arguments of unusual types, and of the tables of results.

The arguments are numbers, flags, keys, containers and strings.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from datetime import time
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from podium import Annotations, TokenLimits
from podium._values import coerce
from podium._values.base import identical, same
from podium._values.tabular import Tabular

from tests.each import each

# ---- Arguments -----------------------------------------------------------------------------------


def _flag(*, value: bool) -> Any:
    """Returns a flag like NumPy's `bool_`: not a Python bool, but convertible to a number."""
    methods = {"__bool__": lambda _: value, "__float__": lambda _: 1.0, "tolist": lambda _: value}
    return type("bool_", (), methods)()


class _Half(float):
    """A subclass of float."""


class _Tensor:
    """Resembles a tensor of floats: `__index__` fails, and `__float__` fails if `error` is set."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def __index__(self) -> int:
        raise TypeError("only integer tensors of a single element can be converted to an index")

    def __float__(self) -> float:
        if self._error is not None:
            raise self._error
        return 3.0


class _NoMemoryError(RuntimeError):
    """An error like that of a device without memory: a subclass of RuntimeError."""


def test_numbers_of_other_libraries() -> None:
    """Numbers and flags of other types become Python's plain types, and keep the sign of zero."""
    zero, half = coerce.metrics({"zero": -0.0, "half": _Half(0.5)}, "field").values()
    assert (math.copysign(1, zero), half, type(half)) == (-1.0, 0.5, float)
    kept = coerce.value([-0.0, _Half(0.5), _flag(value=True), 0, False], "field")
    assert repr(kept) == "[-0.0, 0.5, True, 0, False]"
    assert coerce.integer(_Tensor(None), "field") == 3
    flag = coerce.boolean(_flag(value=False), "field")
    assert flag is False
    with pytest.raises(TypeError, match="field must be an integer, not bool_"):
        coerce.integer(_flag(value=True), "field")


def test_the_errors_of_other_libraries() -> None:
    """If the conversion of a value to a number raises an error, the error names the field.

    An error of a subclass of RuntimeError is left unchanged.
    """
    for kind in (TypeError, ValueError, RuntimeError):
        with pytest.raises(kind, match=r"^field must be a number: a vector$"):
            coerce.number(_Tensor(kind("a vector")), "field")
    with pytest.raises(_NoMemoryError, match=r"^no memory$"):
        coerce.number(_Tensor(_NoMemoryError("no memory")), "field")
    with pytest.raises(ValueError, match=r"^field must be a number that a double can hold: "):
        coerce.number(_Tensor(OverflowError("large")), "field")


@each(
    ("given", "name"),
    [("é", "é"), (True, "True"), (None, "None"), (1.5, "1.5"), (Path("/x"), "/x"), (-1, "-1")],
)
def test_keys_of_maps(given: object, name: str) -> None:
    """Keys of a map that are not strings become strings, such as "True", "None" or "1.5"."""
    assert coerce.value_map({given: 0}, "field") == {name: 0}


@each(
    ("given", "value"),
    [
        (deque([1, (2,)]), [1, [2]]),
        (MappingProxyType({"a": {"b": ()}}), {"a": {"b": []}}),
        (time(1, 2), "01:02:00"),
        (partial(identical), None),
    ],
)
def test_containers_and_objects_of_settings(given: object, value: object) -> None:
    """Mappings and sequences of any class become dicts and lists.

    An object whose repr contains a memory address is rejected.
    """
    if value is None:
        with pytest.raises(TypeError, match=r"field\['x'\] must be None"):
            coerce.settings_map({"x": given}, "field")
        return
    assert coerce.settings_map({"x": given}, "field") == {"x": value}


@each(
    ("convert", "given", "text"),
    [
        (coerce.texts, 5, "field must be a list of strings, not int"),
        (coerce.texts, bytearray(b"a"), "field must be a list of strings, not bytearray"),
        (coerce.texts, ["a", None], r"field\[1\] must be a string, not None"),
        (coerce.list_of(int), "ab", "field must be a list, not str"),
        (coerce.list_of(int), [1, "b"], r"field\[1\] must be of type int, not str"),
        (coerce.text_map, {1: "a"}, "a key of field must be a string, not int"),
        (coerce.text_map, {"k": 1}, r"field\['k'\] must be a string, not int"),
        (coerce.integer, 2**127, f"field must be an integer of 64 bits, not {2**127}"),
        (coerce.integer, 2**128, "field must be an integer of 64 bits, not one of 129 bits"),
        (coerce.count, -1, f"field is -1; give a number from 0 to {2**31 - 1}"),
        (coerce.value_map, {"a": {1: 0, "1": 0}}, r"two keys of field\['a'\] become .* '1'"),
    ],
)
def test_errors_name_the_place(convert: Callable[..., Any], given: object, text: str) -> None:
    """The error for a wrong item of a list or map names the field and the item's index or key."""
    with pytest.raises((TypeError, ValueError), match=f"^{text}"):
        convert(given, "field")


def test_texts_of_any_iterable() -> None:
    """A set or a generator of strings becomes a list of strings."""
    assert coerce.texts({"a"}, "field") == ["a"]
    assert coerce.texts((each for each in "ab"), "field") == ["a", "b"]


@each(
    ("left", "right", "is_same", "is_identical"),
    [
        (math.nan, math.nan, True, True),
        (0.0, -0.0, True, False),
        (1, 1.0, True, False),
        (1, True, True, False),
        ({"a": [math.nan]}, {"a": [math.nan]}, True, True),
        ({"a": 1}, {"a": 1, "b": 2}, False, False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True, True),
        ([1], [1, 2], False, False),
        ([1], [1.0], True, False),
        (math.nan, 1.0, False, False),
        (None, 0, False, False),
    ],
)
def test_equal_values(left: object, right: object, *, is_same: bool, is_identical: bool) -> None:
    """`same` treats two NaNs as equal. `identical` also compares types and the sign of zero."""
    assert (same(left, right), same(right, left)) == (is_same, is_same)
    assert (identical(left, right), identical(right, left)) == (is_identical, is_identical)


def test_limits_of_tokens() -> None:
    """A token limit is at least 1.

    If a limit is not set, `or_else` takes it from its argument.
    """
    with pytest.raises(ValueError, match=r"^calls is 0; give 1 or more, or None"):
        TokenLimits(calls=0)
    found = TokenLimits(calls=1).or_else(TokenLimits(calls=2, watches=3))
    assert found.given() == {"calls": 1, "watches": 3}


def test_a_group_or_none() -> None:
    """Annotations cannot move an arm to a group and also remove it from its group."""
    with pytest.raises(ValueError, match=r"^give group_name or no_group, not both$"):
        Annotations(group_name="g", no_group=True)


# ---- Tables --------------------------------------------------------------------------------------


class _Table(Tabular):
    def __init__(self, *records: Mapping[str, Any]) -> None:
        self._rows = records

    def _heading(self) -> str:
        return "a <b>\nc"

    def _records(self) -> tuple[Mapping[str, Any], ...]:
        return self._rows


def test_the_cells_of_a_table() -> None:
    """Numbers have six digits, lists are joined, and control characters are replaced.

    In HTML, cells are escaped.
    """
    first = {"n": 1, "x": 0.1234567, "none": None, "l": ["a", 1], "on": False, "odd": "a\x1b \n b"}
    table = _Table(first, {"n": 10, "<y>": "&"})
    assert repr(table) == (
        "_Table: a <b> c\n"
        "n   x         l     on     odd   <y>\n"
        "1   0.123457  a, 1  False  a\ufffd b\n"
        "10                               &"
    )
    html = table._repr_html_()
    assert html.startswith("<div><p><b>_Table</b>: a &lt;b&gt; c</p><table><thead><tr><th>n</th>")
    assert html.count("<th>") == 6
    assert "<th>&lt;y&gt;</th>" in html
    assert "<td>&amp;</td></tr></tbody>" in html
    wide = repr(_Table({name: name * 40 for name in "abcd"})).splitlines()
    assert (len(wide[2]), wide[2][-1]) == (120, "…")
    assert repr(_Table()) == "_Table: a <b> c"
    assert _Table()._repr_html_() == "<div><p><b>_Table</b>: a &lt;b&gt; c</p></div>"


@each(("count", "end"), [(20, "19"), (21, "… and 1 more"), (1_021, "… and 1,001 more")])
def test_the_rows_of_a_table(count: int, end: str) -> None:
    """A table shows 20 rows, and counts the others in a last line."""
    table = _Table(*({"n": n} for n in range(count)))
    lines = repr(table).splitlines()
    assert (lines[-1], len(lines)) == (end, 22 + (count > 20))
    assert table._repr_html_().count("<tr>") == 21
    assert ("more" in table._repr_html_()) is (count > 20)
