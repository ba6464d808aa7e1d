"""Applies the events about an experiment itself."""

from collections.abc import Iterable

from podium._limits.checks import check_count, check_values
from podium._limits.limits import Limits
from podium.v1.event_pb2 import ExperimentConcluded, ExperimentDeclared
from podium.v1.experiment_pb2 import Experiment

from podium_server.writes.call_state import CallState
from podium_server.writes.encoding import encode

__all__ = ["conclude", "declare"]


def declare(state: CallState, index: int, event: ExperimentDeclared, limits: Limits) -> None:
    """Creates the experiment if it does not exist, clears fields, and sets fields.

    Unless the event has `overwrite`, a field that already has another value is not changed.
    `state.kept` lists such fields.
    """
    content = _content(state)
    _clear_fields(content, event.clear_fields)
    kept = _fill_fields(content, event) + _fill_metadata(content, event)
    field = "experiment_declared.metadata"
    check_count(len(content.metadata), field, limits.map_keys, "keys")
    check_values(content.metadata.values(), field, limits)
    _store(state, content, "experiment_declared", limits)
    state.kept.extend((index, path) for path in kept)


def conclude(state: CallState, event: ExperimentConcluded, limits: Limits) -> None:
    """Stores the conclusion of the experiment."""
    content = _content(state)
    content.conclusion = event.conclusion
    _store(state, content, "experiment_concluded.conclusion", limits)


def _content(state: CallState) -> Experiment:
    return Experiment.FromString((state.exists and state.experiment.content) or b"")


def _clear_fields(content: Experiment, paths: Iterable[str]) -> None:
    for path in paths:
        field, _, key = path.partition(".")
        if not key:
            content.ClearField(field)  # type: ignore[arg-type] # checked with the event
        elif key in content.metadata:
            del content.metadata[key]


def _fill_fields(content: Experiment, event: ExperimentDeclared) -> list[str]:
    recorded = {field.name: value for field, value in content.ListFields()}
    kept = []
    for field, value in event.ListFields():
        if field.name in ("metadata", "overwrite", "clear_fields"):
            continue
        if not event.overwrite and recorded.get(field.name, value) != value:
            kept.append(field.name)
        elif field.name == "tags":
            content.tags[:] = value
        else:
            setattr(content, field.name, value)
    return kept


def _fill_metadata(content: Experiment, event: ExperimentDeclared) -> list[str]:
    kept = []
    for key, value in sorted(event.metadata.items()):
        recorded = content.metadata.get(key, value)
        if not event.overwrite and encode(recorded) != encode(value):
            kept.append(f"metadata.{key}")
        else:
            content.metadata[key].CopyFrom(value)
    return kept


def _store(state: CallState, content: Experiment, field: str, limits: Limits) -> None:
    encoded = encode(content)
    name = f"experiment {state.experiment.name!r}"
    check_count(len(encoded), field, limits.arm_bytes, "bytes", name=name)
    if not state.exists:
        state.create_experiment()
    elif encoded == state.experiment.content:
        return
    state.experiment.content = encoded
    state.experiment.tags = tuple(content.tags)
    state.progress.changes_made += 1
