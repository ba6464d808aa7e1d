"""Makes messages about fields of an experiment that were declared again with another value.

Such a field keeps its stored value.
"""

from collections.abc import Sequence
from typing import Any

from podium._model.recording import KeptField
from podium._model.results import Experiment
from podium._sender.recording_client import RecordingClient
from podium._values.shorten_text import shorten
from podium._wire.codec import value_from_proto
from podium._wire.values import direction_from_proto
from podium.errors import PodiumError
from podium.v1.event_pb2 import Event, ExperimentDeclared

__all__ = ["kept_fields_texts"]

_SHOWN_BYTES = 200
_METADATA = "metadata."


async def kept_fields_texts(
    client: RecordingClient, experiment: str, events: Sequence[Event], kept: Sequence[KeptField]
) -> list[str]:
    """Returns a message for each field in `kept`: its name, stored value and declared value."""
    stored = await _stored(client, experiment)
    return [
        f"experiment {experiment!r} keeps its {field.path}{_stored_text(stored, field.path)}: "
        f"{_shown(_given(events[field.event_index].experiment_declared, field.path))} was given "
        "and is not stored; record with overwrite=True to replace the value"
        for field in kept
    ]


async def _stored(client: RecordingClient, experiment: str) -> Experiment | None:
    try:
        return await client.experiment(experiment).get()
    except PodiumError:  # the messages then do not contain the stored values
        return None


def _stored_text(stored: Experiment | None, path: str) -> str:
    if stored is None:
        return ""
    if path.startswith(_METADATA):
        return f" {_shown(stored.metadata.get(path.removeprefix(_METADATA)))}"
    return f" {_shown(getattr(stored, path, None))}"


def _given(declared: ExperimentDeclared, path: str) -> Any:
    if path.startswith(_METADATA):
        return value_from_proto(declared.metadata[path.removeprefix(_METADATA)])
    if path == "direction":
        return direction_from_proto(declared.direction)
    value = getattr(declared, path)
    return value if isinstance(value, str) else list(value)


def _shown(value: object) -> str:
    return shorten(repr(str(value) if isinstance(value, str) else value), _SHOWN_BYTES)
