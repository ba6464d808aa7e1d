"""Tests of the parts that all importers share: configurations, names and rows."""

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
from podium._model.results import EvalResult
from podium.curves import Series
from podium.importing import _rows
from podium.importing._configs import kept_values, plain, run_config_from, seed_from, step_from
from podium.importing._identities import (
    digest_of,
    group_of_model,
    name_of_folder,
    name_with_seed,
    within_limit,
)
from podium.importing._rows import Logged, eval_and_metric, tags_of, with_last_rows

from tests.each import each

_INT64 = 2**63

# ---- Configurations ------------------------------------------------------------------------------


@each(
    ("text", "value"),
    [
        ("True", True),
        ("None", None),
        ("true", "true"),
        ("42", 42),
        ("-3", -3),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("0.5", 0.5),
        ("007", "007"),
        ("00.5", "00.5"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("nan", "nan"),
        (f"{_INT64 - 1}", _INT64 - 1),
        (f"{_INT64}", f"{_INT64}"),
    ],
)
def test_a_parameter_that_was_written_as_text(text: str, value: object) -> None:
    """A string such as `True`, `None` or `1e3` becomes the value that it stands for.

    Strings such as `007` and `1_000` stay strings.
    """
    found = plain(text)
    assert (found, type(found)) == (value, type(value))


@each(
    ("value", "seed"),
    [
        (0, 0),
        (42.0, 42),
        ("42", 42),
        ("42.0", 42),
        (_INT64 - 1, _INT64 - 1),
        (-_INT64, -_INT64),
        (_INT64, None),
        (-_INT64 - 1, None),
        (True, None),
        ("True", None),
        (0.5, None),
        (math.nan, None),
        ([1], None),
        ("first", None),
    ],
)
def test_a_seed(value: object, seed: int | None) -> None:
    """A seed is a 64-bit integer, and so is a step. Any other value gives no seed.

    As a step, any other value is an error.
    """
    assert seed_from(value) == seed
    if seed is not None:
        assert step_from(value) == seed
        return
    with pytest.raises(ValueError, match="is not a valid step"):
        step_from(value)


@each(
    ("data", "kept"),
    [
        (_INT64 - 1, _INT64 - 1),
        (-_INT64, -_INT64),
        (_INT64, str(_INT64)),
        (-_INT64 - 1, str(-_INT64 - 1)),
        (True, True),
        (None, None),
        ((1, "a"), [1, "a"]),
        ({1: {2}}, {"1": "{2}"}),
    ],
)
def test_data_that_a_configuration_keeps(data: object, kept: object) -> None:
    """Values that Podium can store are unchanged. Other values become strings."""
    assert kept_values(data) == kept


@pytest.mark.parametrize("inner", [{"k": 1}, [1], (1,)], ids=["dict", "list", "tuple"])
def test_data_that_is_nested_too_deeply(inner: object) -> None:
    """Each container below the last level becomes JSON text, and a number stays a number."""
    assert kept_values([1, inner], 1) == [1, '{"k": 1}' if isinstance(inner, dict) else "[1]"]


def test_parts_of_a_configuration_that_have_other_fields() -> None:
    """A part with unknown fields is kept in the extras as it is. The other parts are converted."""
    model = {"name": "m", "size": 7}
    found = run_config_from({"model": model, "algorithm": "sft", "seed": "3", "lr": 0.1}, "run")
    assert found.model is None
    assert (found.algorithm and found.algorithm.kind, found.seed) == ("sft", 3)
    assert found.extras == {"model": model, "lr": 0.1}


# ---- Names ---------------------------------------------------------------------------------------


@each(
    ("name", "seed", "found"),
    [
        ("m", None, "m"),
        ("m", 3, "m-seed3"),
        ("m-seed3", 3, "m-seed3"),
        ("m_SEED=3", 3, "m_SEED=3"),
        ("m-seed13", 3, "m-seed13-seed3"),
        ("m-seed3-b", 3, "m-seed3-b-seed3"),
        ("llama-3", 3, "llama-3-seed3"),
    ],
)
def test_a_name_with_its_seed(name: str, seed: int | None, found: str) -> None:
    """The seed is added to a name, unless the name already ends with "seed" and this seed."""
    assert name_with_seed(name, seed) == found


def test_a_name_over_the_limit() -> None:
    """A name that exceeds the limit in bytes is shortened. Different names stay different."""
    assert within_limit("é" * 4, 8) == "é" * 4
    names = [within_limit("é" * 200 + end, 64) for end in "ab"]
    assert names[0] != names[1]
    assert all(60 < len(name.encode()) <= 64 for name in names)


@each(
    ("folder", "name"),
    [
        ("/a/b/run", "run"),
        ("/a/b/logs", "b/logs"),
        ("/a/logs/logs", "a/logs/logs"),
        ("/a/logs/logs/logs", "logs/logs/logs"),
        ("/logs", "logs"),
    ],
)
def test_a_folder_with_a_generic_name(folder: str, name: str) -> None:
    """The names of up to two parents come before a generic name, until one is not generic."""
    assert name_of_folder(Path(folder), lambda path: path.name == "logs") == name


def test_a_digest_of_settings() -> None:
    """A digest ignores the order of keys, empty settings, and whether a number is a string."""
    assert digest_of("k", {"a": 1, "b": 2}) == digest_of("k", {"b": 2, "a": 1})
    one = group_of_model("m", {"a": 1, "b": {"c": None}, "d": [], "e": ""})
    assert one == group_of_model("m", {"a": "1"})
    assert one != group_of_model("m", {"a": "2"})


# ---- Rows ----------------------------------------------------------------------------------------


@each(
    ("key", "found"),
    [
        ("val_loss", ("val", "loss")),
        ("Eval/a/b", ("Eval", "a/b")),
        ("loss/test", ("test", "loss")),
        ("loss", None),
        ("value_loss", None),
        ("val_", None),
    ],
)
def test_the_eval_of_a_key(key: str, found: tuple[str, str] | None) -> None:
    """A key that begins or ends with the name of an evaluation is a metric of that evaluation."""
    assert eval_and_metric(key) == found


@each(
    ("name", "tags"),
    [("test", ["test"]), ("Predict/a", ["test"]), ("testing", []), ("val/test", [])],
)
def test_the_tag_of_a_test_set(name: str, tags: list[str]) -> None:
    """An eval of a test set gets the tag "test". Its name may be in upper or lower case."""
    assert tags_of(name) == tags


def _logged(*values: tuple[str, int, float]) -> Logged:
    logged = Logged()
    for key, step, value in values:
        logged.add(key, step, value)
    return logged


def test_values_that_replace_others() -> None:
    """A different value at the same step counts as a replacement.

    An equal one, even NaN, does not.
    """
    logged = _logged(
        ("a", 1, 1.0), ("a", 1, 2.0), ("a", 1, 2.0), ("b", 1, math.nan), ("b", 1, math.nan)
    )
    logged.add("val_a", 1, 1.0)
    logged.add("val_a", 1, 3.0)
    assert logged.replaced == {"a": 1, "val/a": 1}
    assert logged.latest["a"] == logged.value_of(None, "a", 1) == 2.0
    assert logged.value_of("val", "a", 1) == 3.0
    assert logged.value_of("val", "a", 2) is None


def test_a_restart_removes_what_it_logs_again() -> None:
    """A restart removes the values at its step and later.

    The latest value is then an earlier one.
    """
    logged = _logged(("a", 1, 1.0), ("a", 2, 2.0), ("a", 3, 3.0), ("b", 2, 4.0), ("val_c", 2, 5.0))
    logged.add("val_c", 1, 6.0)
    logged.remove_from(2)
    assert logged.latest == {"a": 1.0}
    assert logged.series() == {"a": Series("a", [1], [1.0])}
    assert [(row.name, row.step) for row in logged.rows()] == [("val", 1)]


def test_the_values_of_a_run_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run with more values than the limit is an error."""
    monkeypatch.setattr(_rows, "_MAX_VALUES", 2)
    logged = _logged(("a", 1, 1.0), ("val_a", 1, 1.0))
    with pytest.raises(ValueError, match="the run has over 2 values"):
        logged.add("a", 2, 1.0)


def test_the_post_training_row_of_an_eval() -> None:
    """A copy of the last row at the greatest step becomes the post-training row of an eval.

    If the eval already has a row without a step, no copy is made.
    """
    rows = [
        EvalResult("test", metrics={"n": n}, step=step)
        for n, step in enumerate([-3, 0, 0, -1], start=1)
    ]
    time = datetime(2026, 1, 2, tzinfo=UTC)
    rows[2].event_time = time
    *kept, last = with_last_rows(rows)
    assert kept == rows
    assert (last.step, last.metrics, last.tags) == (None, {"n": 3.0}, ["test"])
    assert last.event_time == time
    own = EvalResult("test", metrics={"n": 9})
    assert with_last_rows([*rows, own]) == [*rows, own]
