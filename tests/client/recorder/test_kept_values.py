"""Tests of values that a server would reject: what a recorder keeps of them and what it reports."""

import math
from pathlib import Path
from typing import Any

from podium._recorder import kept_values as kept
from podium._recorder.problems import Problems, shown

from tests.each import each

_MOST = 10_000


class _Wrong:
    """An object that cannot be converted to a string."""

    def __repr__(self) -> str:
        raise ValueError("it has no repr")

    def __str__(self) -> str:
        raise ValueError("it has no text")


def _kinds(problems: Problems) -> str:
    """Returns the first letter of the kind of each problem.

    The kinds are `lost` (left out), `changed` (recorded with a loss) and `taken` (without a loss).
    """
    return "".join(problem.kind[0] for problem in problems)


@each(
    ("keep", "given", "expected", "kinds"),
    [
        (kept.name, "a", "a", ""),
        (kept.name, "", None, "l"),
        (kept.name, None, None, "l"),
        (kept.name, ["a"], None, "l"),
        (kept.name, "\n", None, "l"),
        (kept.name, "a\n\x7fb", "ab", "t"),
        (kept.name, 7, "7", "t"),
        (kept.name, Path("a/b"), "a/b", "t"),
        (kept.name, "\ud800", "\\ud800", "t"),
        (kept.optional_name, None, None, ""),
        (kept.optional_name, "", None, "l"),
        (kept.experiment_name, "a/b", "a/b", ""),
        (kept.experiment_name, "/a//b/./../c/", "a/b/c", "t"),
        (kept.experiment_name, "../.", None, "t"),
        (kept.experiment_name, None, None, ""),
        (kept.text, None, None, ""),
        (kept.text, "", "", ""),
        (kept.text, "a\0b", "ab", "c"),
        (kept.text, 0.5, "0.5", "t"),
        (kept.text, {"a": 1}, None, "l"),
        (kept.text, _Wrong(), None, "l"),
        (kept.tags, ["a", "b"], ["a", "b"], ""),
        (kept.tags, ("a",), ["a"], ""),
        (kept.tags, "ab", ["ab"], "t"),
        (kept.tags, None, [], "t"),
        (kept.tags, 5, [], "l"),
        (kept.tags, b"ab", [], "l"),
        (kept.tags, ["a", None, "", "b"], ["a", "b"], "ll"),
        (kept.tags, list(map(str, range(1_001))), list(map(str, range(1_000))), "c"),
        (kept.seconds, 0, 0.0, ""),
        (kept.seconds, None, None, ""),
        (kept.seconds, -0.5, None, "l"),
        (kept.seconds, math.inf, None, "l"),
        (kept.seconds, math.nan, None, "l"),
        (kept.seconds, "soon", None, "l"),
        (kept.integer, None, None, ""),
        (kept.integer, 2**63 - 1, 2**63 - 1, ""),
        (kept.integer, 2**63, None, "l"),
        (kept.integer, "x", None, "l"),
        (kept.step, None, None, ""),
        (kept.step, 5, 5, ""),
        (kept.step, 5.0, 5, ""),
        (kept.step, 2.75, 2, "c"),
        (kept.step, -0.5, -1, "c"),
        (kept.step, "12", 12, "c"),
        (kept.step, "1e3", 1_000, "c"),
        (kept.step, "last", None, "l"),
        (kept.step, math.inf, None, "l"),
        (kept.step, math.nan, None, "l"),
        (kept.step, 1e300, None, "l"),
        (kept.flag, True, True, ""),
        (kept.flag, None, False, "t"),
        (kept.flag, "yes", False, "l"),
        (kept.metrics, {"a": 1, "b": True}, {"a": 1.0, "b": 1.0}, ""),
        (kept.metrics, [("a", 1)], {}, "l"),
        (kept.metrics, {"a": 1, "b": "x", "": 2, "c\n": 3}, {"a": 1.0, "c": 3.0}, "llt"),
    ],
)
def test_what_is_kept(keep: Any, given: Any, expected: Any, kinds: str) -> None:
    """A recorder keeps a valid value, and changes a value that can become valid.

    It leaves out any other value. `kinds` has the kinds of the problems that it reports.
    """
    problems = Problems()
    found = keep(given, "field", problems)
    assert found == expected
    assert type(found) is type(expected)
    assert _kinds(problems) == kinds
    assert problems.lose_something is any(kind in kinds for kind in "lc")


def test_long_texts() -> None:
    """A name that is too long keeps its beginning, and stays different from other such names.

    A string that is too long keeps its beginning and its end.
    """
    names = []
    for end in "ab":
        problems = Problems()
        names.append(kept.name("é" * 200 + end, "field", problems) or "")
        assert _kinds(problems) == "c"
    assert len({*names}) == 2
    for name in names:
        assert name.startswith("é" * 100)
        assert 254 <= len(name.encode()) <= 256
    problems = Problems()
    text = kept.text("a" * 50 + "b" * 50, "field", problems, 40) or ""
    assert (text[0], text[-1], _kinds(problems)) == ("a", "b", "c")
    assert len(text.encode()) <= 40
    assert "over 40 bytes" in problems[0].text


def test_a_name_with_a_default() -> None:
    """The default replaces a name without a valid character. This does not count as a loss."""
    for given, name, kinds in (("\n", "other", "t"), (_Wrong(), "other", "t"), ("a", "a", "")):
        problems = Problems()
        assert kept.name_or("other", given, "field", problems) == name
        assert _kinds(problems) == kinds


def test_what_a_warning_shows() -> None:
    """A warning shows the beginning of a value, or the value's class if `repr` fails."""
    assert shown("a\n") == "'a\\n'"
    assert "_Wrong" in shown(_Wrong())
    assert len(shown("x" * 1_000)) < 200


@each(
    ("given", "expected", "kinds"),
    [
        (None, {}, ""),
        (5, {}, "l"),
        ({"a": None, "b": [1, "x", {"c": 0.5}]}, {"a": None, "b": [1, "x", {"c": 0.5}]}, ""),
        ({"a": (1, 2)}, {"a": [1, 2]}, ""),
        ({1: "a", "1": "b"}, {"1": "a"}, "l"),
        ({"\n": 1, "a": 2}, {"a": 2}, "l"),
        ({"a\n": 1}, {"a": 1}, "t"),
        ({"a": "\ud800"}, {"a": "\\ud800"}, ""),
        ({"a": 2**70, "b": 1}, None, ""),
        ({str(n): n for n in range(1_001)}, {str(n): n for n in range(1_000)}, "c"),
    ],
)
def test_which_values_are_kept(given: Any, expected: Any, kinds: str) -> None:
    """The valid values of a mapping are kept, even nested ones.

    If two keys become the same string, the second value is left out.
    """
    problems = Problems()
    found = kept.value_map(given, "field", problems, 100_000)
    if expected is None:
        assert found["b"] == 1
        return
    assert found == expected
    assert _kinds(problems) == kinds


def test_values_that_are_nested_too_deeply() -> None:
    """Below the deepest level that is allowed, nested values are replaced with their JSON text."""
    given: Any = "x"
    for _ in range(12):
        given = {"k": given}
    problems = Problems()
    found: Any = kept.value_map(given, "field", problems, _MOST)
    for _ in range(kept.LIMITS.value_depth):
        found = found["k"]
    assert found == '{"k": {"k": {"k": {"k": "x"}}}}'
    assert _kinds(problems) == "c"
    problems = Problems()
    kept.value_map({"k": [[[[[[[1]]]]]]]}, "field", problems, _MOST)
    assert _kinds(problems) == ""


@each(
    "given",
    [
        {"a": "x" * 900},
        {"a": "x" * 900, "b": 1, "c": "y" * 20},
        {"a": ["x" * 50] * 20, "b": ["y"] * 3},
        {"a": {str(n): n for n in range(100)}},
        {"a": {"b": {"c": "x" * 900}}},
        {"a": [["x" * 900]], "b": [["x" * 900], 1]},
        {str(n): "x" * 30 for n in range(9)},
    ],
)
def test_values_that_take_too_many_bytes(given: dict[str, Any]) -> None:
    """If the values of a mapping take too many bytes, the largest are shortened until all fit.

    Each key stays, with a value of the same type. A list that is shortened keeps its first items.
    """
    problems = Problems()
    found = kept.value_map(given, "field", problems, 400)
    assert kept._bytes(found) <= 400 + 16
    assert list(found) == list(given)
    assert {*_kinds(problems)} == {"c"}
    for key, value in given.items():
        assert type(found[key]) is type(value)
        if isinstance(value, list) and len(found[key]) > 1:
            assert found[key] == value[: len(found[key])]
    assert kept.value_map(given, "field", Problems(), _MOST) == given


def test_values_that_are_too_many() -> None:
    """If a mapping has too many values, its longest lists are shortened at their ends.

    The result is within the limit of the server, and a short list stays whole.
    """
    given = {"long": list(range(20_000)), "short": [1, 2], "wide": list(range(8_000))}
    problems = Problems()
    found = kept.value_map(given, "field", problems, 10**9)
    assert sum(map(kept._nodes, found.values())) <= kept.LIMITS.value_nodes
    assert found["short"] == [1, 2]
    for key in ("long", "wide"):
        assert found[key] == given[key][: len(found[key])]
        assert len(found[key]) > 4_900
    assert _kinds(problems) == "cc"
