"""Reads a SQLite file that Optuna 3 or later wrote."""

import json
import re
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from podium.importing._databases import has_tables, opened
from podium.importing._found import Found, NotImported
from podium.importing._values import number, opened_inside
from podium.importing.kinds.optuna._study import STATES, Study, Trial, param, time_of

__all__ = ["is_one", "read"]

_TABLES = frozenset({"studies", "trials", "trial_params", "trial_values"})
_MAX_ROWS = 5_000_000
_SPECIAL = {"INF_POS": float("inf"), "INF_NEG": float("-inf"), "NAN": float("nan")}

_COMPUTED = re.compile(r"\b(?:VIEW|VIRTUAL|TRIGGER|GENERATED|AS)\b", re.IGNORECASE)

_Row = dict[str, Any]


def is_one(path: Path) -> bool:
    """Returns whether a file is a SQLite file with Optuna's tables. The file may be damaged."""
    return has_tables(path, _TABLES)


def read(path: Path) -> Generator[Found, None, list[Study]]:
    """Reads the studies of a file. Raises a ValueError if it is damaged, in use or too large."""
    with opened_inside(path):
        pass
    try:
        with closing(opened(path)) as database:
            _check_schema(database)
            return (yield from _studies(database, str(path)))
    except sqlite3.Error as error:
        raise ValueError(f"the SQLite file cannot be read: {error}") from error


def _check_schema(database: sqlite3.Connection) -> None:
    """Raises a ValueError if the schema has views or triggers, which could make endless rows."""
    statements = database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")
    if any(_COMPUTED.search(str(row["sql"])) for row in statements):
        raise ValueError("the SQLite file has views or triggers, which Optuna does not make")


def _rows(database: sqlite3.Connection, table: str) -> Iterator[_Row]:
    """Yields the rows of a table in the order in which they were written."""
    for count, row in enumerate(database.execute(f"SELECT * FROM {table} ORDER BY rowid"), 1):  # noqa: S608 - constants
        if count > _MAX_ROWS:
            raise ValueError(f"{table} has over {_MAX_ROWS:,} rows, which is the limit")
        yield dict(row)


def _studies(database: sqlite3.Connection, source: str) -> Generator[Found, None, list[Study]]:
    studies = {row["study_id"]: Study(str(row["study_name"])) for row in _rows(database, "studies")}
    for row in _rows(database, "study_directions"):
        studies[row["study_id"]].directions.append(str(row["direction"]).lower())
    for row in _rows(database, "study_system_attributes"):
        if row["key"] == "study:metric_names":
            studies[row["study_id"]].metric_names = json.loads(row["value_json"])
    for row in _rows(database, "study_user_attributes"):
        studies[row["study_id"]].attributes[row["key"]] = json.loads(row["value_json"])
    trials: dict[int, Trial] = {}
    for row in _rows(database, "trials"):
        study = studies[row["study_id"]]
        trial = Trial(row.get("number") or len(study.trials), str(row["state"]))
        if trial.state not in STATES:
            raise ValueError(f"trial {trial.number} has the unknown state {trial.state!r}")
        trial.start, trial.end = time_of(row["datetime_start"]), time_of(row["datetime_complete"])
        study.trials.append(trial)
        trials[row["trial_id"]] = trial
    yield from _take_values(database, trials, source)
    return list(studies.values())


def _take_values(
    database: sqlite3.Connection, trials: dict[int, Trial], source: str
) -> Iterator[NotImported]:
    """Adds parameters, results and attributes to trials. Yields a NotImported per malformed row."""
    adders = {
        "trial_params": _add_param,
        "trial_values": _add_value,
        "trial_intermediate_values": _add_reported,
        "trial_user_attributes": _add_attribute,
    }
    for table, add in adders.items():
        for row in _rows(database, table):
            try:
                add(trials[row["trial_id"]], row)
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                why = f"a row of {table} cannot be read ({type(error).__name__}: {error})"
                yield NotImported(source, why)


def _add_param(trial: Trial, row: _Row) -> None:
    trial.params[row["param_name"]] = param(row["param_value"], row["distribution_json"])


def _add_value(trial: Trial, row: _Row) -> None:
    trial.values.insert(row.get("objective", 0), _value(row["value"], row.get("value_type")))


def _add_reported(trial: Trial, row: _Row) -> None:
    value = _value(row["intermediate_value"], row.get("intermediate_value_type"))
    trial.reported[int(row["step"])] = value


def _add_attribute(trial: Trial, row: _Row) -> None:
    trial.attributes[row["key"]] = json.loads(row["value_json"])


def _value(value: Any, kind: str | None) -> float:
    """Returns a value as a number. `kind` marks infinities and NaN, which SQLite cannot store."""
    if kind in _SPECIAL:
        return _SPECIAL[kind]
    found = number(value)
    if found is None:
        if kind is None:
            return _SPECIAL["NAN"]
        raise ValueError(f"{value!r} is not a number")
    return found
