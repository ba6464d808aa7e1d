"""What the events about an experiment do."""

from podium.v1.event_pb2 import ExperimentConcluded, ExperimentDeclared
from podium.v1.experiment_pb2 import Experiment

from podium_server.recording.state import CallState
from podium_server.recording.values import encode

__all__ = ["conclude", "declare"]


def declare(state: CallState, index: int, event: ExperimentDeclared) -> None:
    """Creates the experiment, or fills what is unset; notes the fields left as they were."""
    if not state.exists:
        _create(state)
    content = Experiment.FromString(state.experiment.content or b"")
    kept = _fill_fields(content, event) + _fill_metadata(content, event)
    state.kept.extend((index, path) for path in kept)
    _store(state, content)


def conclude(state: CallState, event: ExperimentConcluded) -> None:
    """Stores the conclusion."""
    content = Experiment.FromString(state.experiment.content or b"")
    content.conclusion = event.conclusion
    _store(state, content)


def _create(state: CallState) -> None:
    experiment = state.experiment
    experiment.deleted = False
    experiment.created = state.now
    experiment.content = b""
    experiment.tags = ()
    experiment.counts = (0,) * len(experiment.counts)
    state.exists = True
    state.changes_made += 1


def _fill_fields(content: Experiment, event: ExperimentDeclared) -> list[str]:
    recorded = {field.name: value for field, value in content.ListFields()}
    kept = []
    for field, value in event.ListFields():
        if field.name in ("metadata", "overwrite"):
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


def _store(state: CallState, content: Experiment) -> None:
    encoded = encode(content)
    if encoded != state.experiment.content:
        state.experiment.content = encoded
        state.experiment.tags = tuple(content.tags)
        state.changes_made += 1
