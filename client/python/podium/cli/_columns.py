"""Columns of arms that a user names: configuration values, metrics, notes and other fields."""

import argparse
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from podium import ArmSummary, Client
from podium._values.suggest import did_you_mean
from podium.cli import _format
from podium.cli._arguments import add_several
from podium.cli._exits import CommandError

__all__ = ["add_columns", "cells", "check_columns", "of_arms", "sorted_arms"]

_KINDS = "config.PATH, eval.KEY, train.KEY, group, tags, notes, evals, train_seconds or error"


def add_columns(parser: argparse.ArgumentParser, text: str) -> None:
    """Adds the option that names columns. `text` is the beginning of its help."""
    add_several(parser, "--column", f"{text}: {_KINDS}", metavar="NAME")


def of_arms(
    client: Client, experiment: str, columns: Sequence[str], **filters: Any
) -> Mapping[str, Mapping[str, Any]]:
    """Returns `ArmSummary.record()` of each arm that passes the filters, by the name of the arm.

    Returns an empty dict if no column is given.

    Raises:
        CommandError: No arm has a value in one of the columns.
    """
    if not columns:
        return {}
    records = {arm.name: arm.record() for arm in client.experiment(experiment).arms(**filters)}
    check_columns(columns, records.values())
    return records


def check_columns(columns: Iterable[str], records: Iterable[Mapping[str, Any]]) -> None:
    """Raises a CommandError if there are arms, but none has a value in one of the columns."""
    known = dict.fromkeys(name for record in records for name in record)
    for column in columns:
        if known and column not in known:
            near = did_you_mean(column, known) or f"; a column is {_KINDS}"
            raise CommandError(f"no arm has a value for {column!r}{near}")


def cells(record: Mapping[str, Any], columns: Iterable[str]) -> list[str]:
    """Returns the text of each given column of a record."""
    return [_cell(record.get(column)) for column in columns]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(map(str, value))
    if isinstance(value, float):
        return _format.number(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def sorted_arms(
    arms: Iterable[ArmSummary], column: str, *, is_reversed: bool
) -> Iterable[ArmSummary]:
    """Returns arms sorted by a column: numbers, then strings, then NaN, then arms without a value.

    Arms with equal values keep their order. `is_reversed` reverses only the arms with numbers and
    strings.
    """
    records = [(arm, arm.record()) for arm in arms]
    check_columns([column], (record for _, record in records))
    found = [(arm, _key(record.get(column))) for arm, record in records]
    with_value = [item for item in found if item[1] is not None]
    with_value.sort(key=lambda item: item[1] or (), reverse=is_reversed)
    nans = [arm for arm, record in records if _is_nan(record.get(column))]
    none = [arm for arm, record in records if record.get(column) is None]
    return [*(arm for arm, _ in with_value), *nans, *none]


def _key(value: Any) -> tuple[int, Any] | None:
    if value is None or _is_nan(value):
        return None
    return (0, value) if isinstance(value, int | float) else (1, _cell(value))


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)
