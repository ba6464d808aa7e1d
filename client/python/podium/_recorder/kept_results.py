"""Makes rows, configurations and arms valid by leaving out their invalid values.

Each left-out or changed value is added to `problems`.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any

from podium._interface.recorders import new_attempt
from podium._model.results import (
    ArmResult,
    Component,
    DataConfig,
    EvalResult,
    ModelConfig,
    RunConfig,
    RunResult,
)
from podium._recorder import kept_annotations
from podium._recorder import kept_values as kept
from podium._recorder.kept_values import LIMITS
from podium._recorder.problems import Problems, shown
from podium._values import coerce
from podium._values.enums import ArmStatus, Direction
from podium._values.suggest import near_names

__all__ = [
    "arm_result",
    "declaration",
    "direction",
    "error",
    "row",
    "run_config",
    "run_result",
    "start",
    "status",
]

_ROW_BYTES = LIMITS.row_bytes * 3 // 4
_UNNAMED = "unnamed"
_ENDS = (ArmStatus.COMPLETED, ArmStatus.FAILED, ArmStatus.CANCELLED)


def row(problems: Problems, given: Mapping[str, Any], where: str = "") -> EvalResult:
    """Makes a valid eval row from `given`, the values of its fields by name.

    Adds each left-out or changed value to `problems`, under the name `where` + field.
    """

    def at(name: str) -> str:
        return f"{where}{name}"

    name = kept.name_or(_unique(_UNNAMED), given["name"], at("name"), problems)
    step = kept.step(given["step"], at("step"), problems)
    if step is None and given["step"] is not None:
        # Without its step the row would be the post-training row, and change the scores.
        name = _unique(f"{name[:128]} without its step")
        problems.taken(at("step"), f"the row is recorded as {name!r}")
    return EvalResult(
        name,
        kept.optional_name(given["benchmark_id"], at("benchmark_id"), problems),
        _first_keys(kept.metrics(given["metrics"], at("metrics"), problems), at, problems),
        kept.value_map(given["breakdowns"], at("breakdowns"), problems, _ROW_BYTES),
        _eval_seconds(given["eval_seconds"], at("eval_seconds"), problems),
        step,
        kept.tags(given["tags"], at("tags"), problems),
        kept.optional_name(given["model_ref"], at("model_ref"), problems),
    )


def _unique(name: str) -> str:
    """Returns a name with a random suffix, so that it differs from all other names."""
    return f"{name}-{os.urandom(4).hex()}"


def _eval_seconds(given: Any, where: str, problems: Problems) -> float:
    if given is None:
        problems.taken(where, f"{where} is None; it is recorded as 0")
    return kept.seconds(given, where, problems) or 0.0


def _first_keys(metrics: dict[str, float], at: Any, problems: Problems) -> dict[str, float]:
    if len(metrics) <= LIMITS.map_keys:
        return metrics
    names = list(metrics)
    where = at("metrics")
    problems.changed(
        where,
        f"{where} has {len(metrics):,} keys, but a row has at most {LIMITS.map_keys:,}; those from "
        f"{names[LIMITS.map_keys]!r} to {names[-1]!r} are left out",
    )
    return {key: metrics[key] for key in names[: LIMITS.map_keys]}


def run_config(
    given: Any, name: str | None, problems: Problems, most: int = LIMITS.arm_bytes
) -> RunConfig:
    """Returns a valid RunConfig, made from a RunConfig, a mapping, a dataclass or a name.

    For any other object, the result has only a name. A missing name is replaced by `name`. `most`
    is the number of bytes to which each field is shortened.
    """
    if isinstance(given, RunConfig):
        config = _config(given, problems, most)
        if name and not config.name:
            problems.taken(
                "run_config.name", f"run_config has no name; it is recorded as {shown(name)}"
            )
        config.name = config.name or name or ""
        return config
    if is_dataclass(given) and not isinstance(given, type):
        given = {item.name: getattr(given, item.name) for item in fields(given)}
    kind = coerce.kind_of(given)
    if isinstance(given, Mapping):
        problems.taken(
            "run_config",
            f"run_config is a {kind} and not a RunConfig; its values are kept in extras",
        )
        name = name or kept.optional_name(given.get("name"), "run_config['name']", problems)
        extras = kept.value_map(given, "run_config", problems, most)
        return RunConfig(name or _UNNAMED, extras=extras)
    named = kept.optional_name(given, "run_config", Problems()) if isinstance(given, str) else None
    if name is None and named is not None:
        text = f"run_config is {shown(given)} and not a RunConfig; it is used as the name"
        problems.taken("run_config", text if named == given else f"{text} {shown(named)}")
        return RunConfig(named)
    problems.lost("run_config", f"run_config must be of type RunConfig, not {kind}", given)
    return RunConfig(name or _UNNAMED)


def _config(given: RunConfig, problems: Problems, most: int) -> RunConfig:
    def at(name: str) -> str:
        return f"run_config.{name}"

    def values(name: str) -> dict[str, Any]:
        return kept.value_map(getattr(given, name), at(name), problems, most)

    return RunConfig(
        kept.text(given.name, at("name"), problems) or "",
        _data(given.data, at("data"), problems, most),
        _model(given.model, at("model"), problems),
        _component(given.algorithm, at("algorithm"), problems, most),
        _component(given.backend, at("backend"), problems, most),
        values("eval"),
        values("validation"),
        kept.integer(given.seed, at("seed"), problems),
        kept.tags(given.tags, at("tags"), problems),
        values("extras"),
    )


def _component(given: Any, where: str, problems: Problems, most: int) -> Component | None:
    if not _is_instance(given, Component, where, problems):
        return None
    params = kept.value_map(given.params, f"{where}.params", problems, most)
    return Component(kept.text(given.kind, f"{where}.kind", problems) or "", params)


def _data(given: Any, where: str, problems: Problems, most: int) -> DataConfig | None:
    if not _is_instance(given, DataConfig, where, problems):
        return None
    lists = {"rows": given.rows, "transforms": given.transforms}
    valid = kept.value_map(lists, where, problems, most)
    result = DataConfig(**_texts(given, where, problems, but=lists))
    result.rows, result.transforms = valid.get("rows") or [], valid.get("transforms") or []
    return result


def _model(given: Any, where: str, problems: Problems) -> ModelConfig | None:
    if not _is_instance(given, ModelConfig, where, problems):
        return None
    return ModelConfig(**_texts(given, where, problems))


def _texts(given: Any, where: str, problems: Problems, but: Any = ()) -> dict[str, Any]:
    found = {
        item.name: kept.text(getattr(given, item.name), f"{where}.{item.name}", problems)
        for item in fields(given)
        if item.name not in but
    }
    required = next(iter(found))
    return found | {required: found[required] or ""}


def _is_instance(given: Any, kind: type, where: str, problems: Problems) -> bool:
    if given is not None and not isinstance(given, kind):
        problems.lost(
            where, f"{where} must be of type {kind.__name__}, not {coerce.kind_of(given)}", given
        )
    return isinstance(given, kind)


def run_result(given: Any, problems: Problems) -> RunResult | None:
    """Returns a RunResult with the valid values of `given`, or None if it is not a RunResult."""
    where = "run_result"
    if not _is_instance(given, RunResult, where, problems):
        return None
    paths: Any = given.artifacts or {}
    if not isinstance(paths, Mapping):
        kind = coerce.kind_of(paths)
        problems.lost(
            f"{where}.artifacts", f"{where}.artifacts must be a mapping, not {kind}", paths
        )
        paths = {}
    artifacts = {
        key: path
        for given_key, given_path in paths.items()
        if (key := kept.name(given_key, f"a key of {where}.artifacts", problems))
        and (path := kept.text(given_path, f"{where}.artifacts[{key!r}]", problems)) is not None
    }
    metrics = kept.metrics(given.metrics, f"{where}.metrics", problems)
    return RunResult(
        kept.text(given.run_id, f"{where}.run_id", problems) or "",
        kept.text(given.status, f"{where}.status", problems) or "",
        _first_keys(metrics, lambda name: f"{where}.{name}", problems),
        artifacts,
        None if given.error is None else error(given.error, f"{where}.error", problems),
        kept.value_map(given.extras, f"{where}.extras", problems, LIMITS.arm_bytes // 2),
    )


def error(given: Any, where: str, problems: Problems) -> str | None:
    """Returns an error as a string: the given string, or the traceback of a given exception.

    Returns None for any other object that cannot be converted to a string.
    """
    if isinstance(given, BaseException):
        return "".join(traceback.format_exception(given))
    # Servers shorten the error.
    return kept.text(given, where, problems, 1 << 30)


def status(given: Any, problems: Problems, *, has_error: bool) -> ArmStatus:
    """Returns the final status of an arm. Replaces an invalid status by a likely one.

    A string that is not a status becomes the status with a similar name, or FAILED if there is
    none. An empty string, or a value that is not a string, becomes FAILED if the arm has an error,
    and otherwise COMPLETED.
    """
    lowered = given.strip().lower() if isinstance(given, str) else given
    if lowered in _ENDS:
        found = ArmStatus(lowered)
        if given != found:
            problems.taken("status", f"status is {given!r}, and recorded as {found}")
        return found
    near = near_names(lowered, _ENDS) if isinstance(lowered, str) and lowered else []
    # An arm with an unknown status, such as "crashed", must not take part in rankings.
    is_text = isinstance(lowered, str) and lowered != ""
    found = ArmStatus.FAILED if has_error or is_text else ArmStatus.COMPLETED
    found = ArmStatus(near[0]) if near else found
    problems.changed(
        "status",
        f"status must be completed, failed or cancelled, not {given!r}; {found} is recorded",
    )
    return found


def direction(given: Any, problems: Problems) -> Direction | None:
    """Returns a direction, or None if the given value is None or invalid."""
    lowered = given.strip().lower() if isinstance(given, str) else given
    if lowered is not None and lowered not in tuple(Direction):
        problems.lost("direction", "direction must be maximize or minimize", given)
        return None
    return None if lowered is None else Direction(lowered)


def arm_result(given: ArmResult, problems: Problems) -> ArmResult | None:
    """Returns a copy of an arm without its invalid values, or None if its name is invalid."""
    given_fields = vars(given)
    name = kept.name(given.name, "arm_result.name", problems)
    if name is None:
        return None

    def at(field: str) -> str:
        return f"arm_result.{field}"

    def numbers(field: str) -> dict[str, float]:
        found = kept.metrics(given_fields[field], at(field), problems)
        return _first_keys(found, lambda _: at(field), problems)

    def named(field: str) -> str | None:
        return kept.optional_name(given_fields[field], at(field), problems)

    def took(field: str) -> float | None:
        return kept.seconds(given_fields[field], at(field), problems)

    kept_result = ArmResult(
        name,
        run_config(given.run_config, name, problems),
        given.status if given.status in tuple(ArmStatus) else status("", problems, has_error=False),
        numbers("metrics"),
        numbers("eval_metrics"),
        kept.value_map(
            given_fields["eval_breakdowns"], at("eval_breakdowns"), problems, _ROW_BYTES
        ),
        [
            _timed(row(problems, vars(each), f"arm_result.evals[{index}]."), each)
            for index, each in enumerate(given.evals)
            if _is_instance(each, EvalResult, at(f"evals[{index}]"), problems)
        ],
        run_id=named("run_id"),
        error=error(given.error, at("error"), problems),
        train_seconds=took("train_seconds"),
        eval_seconds=took("eval_seconds"),
        run_result=run_result(given.run_result, problems),
        group_id=named("group_id"),
        group_name=named("group_name"),
    )
    return kept_annotations.keep_with(kept_result, given, problems)


def _timed(row: EvalResult, given: EvalResult) -> EvalResult:
    row.event_time = given.event_time
    return row


def start(given: Mapping[str, Any], problems: Problems, most: int) -> dict[str, Any]:
    """Returns valid arguments for `events.arm_started`, made from those of `start_arm`.

    `most` is the number of bytes to which each field of the run_config is shortened.
    """
    name = kept.optional_name(given["name"], "name", problems)
    config = run_config(given["run_config"], name, problems, most)
    attempt = new_attempt(
        kept.optional_name(given["attempt_id"], "attempt_id", problems),
        kept.integer(given["order"], "order", problems),
    )
    named = name or (config.name and kept.name(config.name, "run_config.name", problems))
    if not named or (named == _UNNAMED and not isinstance(given["run_config"], RunConfig)):
        # A fixed name could be that of another arm, which would lose its results. All ranks of an
        # attempt get the same name, because the name depends only on the id of the attempt.
        named = f"{_UNNAMED}-{sha256(attempt.id.encode()).hexdigest()[:8]}"
        problems.taken("name", f"the arm has no name; it is recorded as {named!r}")
        config.name = named
    resume_step = kept.step(given["resume_step"], "resume_step", problems)
    restart = kept.flag(given["restart"], "restart", problems)
    if restart and resume_step is not None:
        problems.lost("restart", "restart cannot be given together with resume_step")
    return {
        "arm": named,
        "run_config": config,
        "attempt": attempt,
        "resume_step": resume_step,
        "restart": restart and resume_step is None,
        **{
            field: kept.optional_name(given[field], field, problems)
            for field in ("group_id", "group_name", "run_id")
        },
        "provenance": kept_annotations.provenance(given["provenance"], "provenance", problems),
    }


def declaration(given: Mapping[str, Any], problems: Problems) -> dict[str, Any]:
    """Returns valid arguments for `events.experiment_declared`, made from those of `record`."""
    success_metric = kept.optional_name(given["success_metric"], "success_metric", problems)
    return {
        "hypothesis": kept.text(given["hypothesis"], "hypothesis", problems),
        "success_metric": success_metric,
        "direction": direction(given["direction"], problems),
        "parent": kept.experiment_name(given["parent"], "parent", problems),
        "tags": kept.tags(given["tags"], "tags", problems),
        "metadata": kept.value_map(given["metadata"], "metadata", problems, _ROW_BYTES),
        "overwrite": kept.flag(given["overwrite"], "overwrite", problems),
    }
