"""The model <-> plain JSON, for the command line and for people.

Keys are the names of the dataclasses' fields; in reading, what is left out or null has its
default, and a key that is not known is an error, except in a RunConfig, whose `extras` take it.
Times are ISO 8601 in UTC. JSON has no NaN and no infinities: in metrics they are the texts "NaN",
"Infinity" and "-Infinity", and in values `{"$double": "NaN"}`, since a text would stay one. A dict
that looks like that itself is written `{"$map": {...}}`. Maps are written by key, so that the same
results are the same text. Ints are JSON's, of any size.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args

from podium import comparing, curves, ranking, scoring
from podium._model import results, score_matrix
from podium._model.mirror import drop_mirrored
from podium._values import coerce
from podium._values.base import ModelBase

__all__ = [
    "arm_from_json",
    "arm_summary_to_json",
    "arm_to_json",
    "comparison_to_json",
    "curves_to_json",
    "eval_from_json",
    "eval_to_json",
    "experiment_from_json",
    "experiment_to_json",
    "plain_to_json",
    "ranking_to_json",
    "record_from_json",
    "run_config_from_json",
    "run_config_to_json",
    "run_result_from_json",
    "run_result_to_json",
    "score_matrix_to_json",
    "score_to_json",
]

_R = TypeVar("_R", bound=ModelBase)

_DOUBLE, _MAP = "$double", "$map"
_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def arm_to_json(arm: results.ArmResult) -> dict[str, Any]:
    """Writes an arm, with eval metrics, breakdowns and seconds as they read."""
    return _write(arm)


def arm_from_json(given: Any) -> results.ArmResult:
    """Reads an arm; what reads the same as the primary eval's goes on mirroring it.

    Raises:
        ValueError: What was wrong, and where.
    """
    arm = record_from_json(results.ArmResult, given, "arm")
    drop_mirrored(arm)
    return arm


def arm_summary_to_json(arm: results.ArmSummary) -> dict[str, Any]:
    """Writes an arm without its rows."""
    return _write(arm)


def eval_to_json(row: results.EvalResult) -> dict[str, Any]:
    """Writes an eval row."""
    return _write(row)


def eval_from_json(given: Any) -> results.EvalResult:
    """Reads an eval row; raises a ValueError that says what was wrong, and where."""
    return record_from_json(results.EvalResult, given, "eval")


def experiment_to_json(experiment: results.Experiment) -> dict[str, Any]:
    """Writes an experiment."""
    return _write(experiment)


def experiment_from_json(given: Any) -> results.Experiment:
    """Reads an experiment; raises a ValueError that says what was wrong, and where."""
    experiment = record_from_json(results.Experiment, given, "experiment")
    known = (status for status in results.ExperimentStatus if status == experiment.status)
    experiment.status = next(known, experiment.status)
    return experiment


def run_config_to_json(config: results.RunConfig) -> dict[str, Any]:
    """Writes what an arm was asked to do."""
    return _write(config)


def run_config_from_json(given: Any) -> results.RunConfig:
    """Reads what an arm was asked to do; raises a ValueError that says what was wrong."""
    return record_from_json(results.RunConfig, given, "run_config")


def run_result_to_json(result: results.RunResult) -> dict[str, Any]:
    """Writes what a training backend returned."""
    return _write(result)


def run_result_from_json(given: Any) -> results.RunResult:
    """Reads what a training backend returned; raises a ValueError that says what was wrong."""
    return record_from_json(results.RunResult, given, "run_result")


def ranking_to_json(ranked: ranking.Ranking | ranking.GroupRanking) -> dict[str, Any]:
    """Writes a ranking by arm or by group."""
    return _write(ranked)


def score_matrix_to_json(matrix: score_matrix.ScoreMatrix) -> dict[str, Any]:
    """Writes a matrix of scores."""
    return _write(matrix)


def score_to_json(score: scoring.Score) -> dict[str, Any]:
    """Writes a score and where it came from."""
    return _write(score)


def comparison_to_json(comparison: comparing.Comparison) -> dict[str, Any]:
    """Writes two arms or groups compared."""
    return _write(comparison)


def curves_to_json(found: curves.Curves) -> dict[str, Any]:
    """Writes the curves of a metric."""
    return _write(found)


def plain_to_json(given: Any) -> Any:
    """Writes a number, text or time as it is written within anything else."""
    return _write_plain(given)


# ---- Writing -----------------------------------------------------------------------------


def _write(record: Any) -> dict[str, Any]:
    return {item.name: _write_field(item, getattr(record, item.name)) for item in fields(record)}


def _write_field(item: Field[Any], given: Any) -> Any:
    if item.type in (dict[str, Any], list[Any]):
        return _write_items(given)
    return _write_plain(given)


def _write_items(given: Any) -> Any:
    # The dict or list of the field itself never stands for something else.
    if isinstance(given, list):
        return [_write_value(value) for value in given]
    return {key: _write_value(given[key]) for key in sorted(given)}


def _write_value(given: Any) -> Any:
    if isinstance(given, float) and not math.isfinite(given):
        return {_DOUBLE: _write_plain(given)}
    if isinstance(given, dict) and len(given) == 1 and not given.keys().isdisjoint((_DOUBLE, _MAP)):
        return {_MAP: _write_items(given)}
    return _write_items(given) if isinstance(given, dict | list) else given


def _write_plain(given: Any) -> Any:
    if is_dataclass(given):
        return _write(given)
    if isinstance(given, datetime):
        return given.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(given, float) and not math.isfinite(given):
        return next(text for text, value in _NOT_FINITE.items() if repr(value) == repr(given))
    if isinstance(given, dict):
        return {key: _write_plain(given[key]) for key in sorted(given)}
    if isinstance(given, list | tuple):
        return [_write_plain(value) for value in given]
    return str(given) if isinstance(given, str) else given


# ---- Reading -----------------------------------------------------------------------------


def record_from_json(kind: type[_R], given: Any, where: str) -> _R:
    """Reads any dataclass of such fields; raises a ValueError that says what was wrong, and where.

    Args:
        kind: The dataclass, whose own checks run as well.
        given: What JSON says.
        where: What the error should call it.
    """
    try:
        return _construct(kind, given)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {error}") from error


def _construct(kind: type[_R], given: Any) -> _R:
    if not isinstance(given, Mapping):
        raise TypeError(f"must be an object, not {coerce.kind_of(given)}")
    known = {item.name: item for item in fields(kind)}
    said = _said(kind, {key: item for key, item in given.items() if item is not None}, known)
    read = {name: _read_field(known[name], item) for name, item in said.items()}
    record = kind(**{name: item for name, item in read.items() if known[name].init})
    for name, item in read.items():
        if not known[name].init:
            setattr(record, name, item)
    return record


def _said(kind: type, given: dict[str, Any], known: Mapping[str, Field[Any]]) -> dict[str, Any]:
    for item in known.values():
        required = item.default is MISSING and item.default_factory is MISSING
        if required and item.name not in given:
            raise ValueError(f"{item.name} is missing")
    unknown = {key: given.pop(key) for key in list(given) if key not in known}
    if unknown and kind is not results.RunConfig:
        raise ValueError(f"{next(iter(unknown))!r} is not a key; the keys are {', '.join(known)}")
    return given | {"extras": _merged(given.get("extras", {}), unknown)} if unknown else given


def _merged(extras: Mapping[str, Any], unknown: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(extras, Mapping):
        raise TypeError(f"extras must be a mapping, not {coerce.kind_of(extras)}")
    twice = extras.keys() & unknown.keys()
    if twice:
        raise ValueError(f"{min(twice)!r} is said twice, here and in extras")
    return {**extras, **unknown}


def _read_field(item: Field[Any], given: Any) -> Any:
    target, where = _without_none(item.type), item.name
    if target in (dict[str, Any], list[Any]):
        return _read_items(given)
    if target == dict[str, float]:
        return coerce.metrics(_read_numbers(given), where)
    if target == list[results.EvalResult]:
        return _read_evals(given)
    if isinstance(target, type) and issubclass(target, ModelBase):
        return record_from_json(target, given, where)
    return _SCALARS[target](given, where) if target in _SCALARS else given


def _read_evals(given: Any) -> list[results.EvalResult]:
    if not isinstance(given, list):
        raise TypeError(f"evals must be a list, not {coerce.kind_of(given)}")
    return [
        record_from_json(results.EvalResult, row, f"evals[{index}]")
        for index, row in enumerate(given)
    ]


def _without_none(hint: Any) -> Any:
    options = get_args(hint) if isinstance(hint, UnionType) else (hint,)
    return next(option for option in options if option is not NoneType)


def _read_items(given: Any) -> Any:
    if isinstance(given, list):
        return [_read_value(value) for value in given]
    if isinstance(given, dict):
        return {key: _read_value(value) for key, value in given.items()}
    return given


def _read_value(given: Any) -> Any:
    if isinstance(given, dict) and given.keys() == {_DOUBLE}:
        return _read_double(given[_DOUBLE])
    if isinstance(given, dict) and given.keys() == {_MAP}:
        return _read_items(given[_MAP])
    return _read_items(given)


def _read_double(given: Any) -> float:
    if given not in _NOT_FINITE:
        raise ValueError(f"{_DOUBLE} must be one of {', '.join(_NOT_FINITE)}; not {given!r}")
    return _NOT_FINITE[given]


def _read_numbers(given: Any) -> Any:
    if not isinstance(given, dict):
        return given
    return {key: _read_number(value) for key, value in given.items()}


def _read_number(given: Any) -> Any:
    return _NOT_FINITE.get(given, given) if isinstance(given, str) else given


def _read_time(given: Any, where: str) -> datetime:
    moment = datetime.fromisoformat(coerce.text(given, where))
    if moment.tzinfo is None:
        raise ValueError(f"{where} must have a time zone, such as Z at its end")
    return moment.astimezone(UTC)


_SCALARS: dict[Any, Callable[[Any, str], Any]] = {
    str: coerce.text,
    int: coerce.integer,
    float: lambda given, where: coerce.number(_read_number(given), where),
    datetime: _read_time,
}
