"""Reads the vectors of `tests/vectors/writes*.json`, and compares answers with them."""

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from podium.errors import PodiumError

from tests.server.writes.ways import METHODS, Way

__all__ = ["CASE_KEYS", "REFUSED_KEYS", "STEP_KEYS", "Case", "cases", "check", "run"]

Case = dict[str, Any]

CASE_KEYS = {"name", "limits", "steps"}
STEP_KEYS = {"call", "request", "response", "refused"}
REFUSED_KEYS = {"reason", "code", "metadata", "text", "permanent", "wait"}

_FOLDER = Path(__file__).parents[2] / "vectors"


def cases() -> list[Case]:
    """Returns every case of every file, with the limits of its file."""
    files = [json.loads(file.read_text("utf-8")) for file in sorted(_FOLDER.glob("writes*.json"))]
    return [{"limits": file.get("limits", {}), **case} for file in files for case in file["cases"]]


async def run(case: Case, way: Way, experiment: str) -> None:
    """Makes every call of a case in an experiment, and checks the answers."""
    for index, step in enumerate(case["steps"]):
        where = f"step {index}: {step}"
        request = GetMessageClass(METHODS[step["call"]].input_type)()
        ParseDict({"experiment": experiment, **step.get("request", {})}, request)
        answer = await _answer(way, step["call"], request)
        if isinstance(answer, Message):
            assert "refused" not in step, f"{where}: {answer}"
            check(step.get("response", {}), answer, where)
        else:
            assert "refused" in step, f"{where}: {answer.reason}: {answer}"
            _check_refusal(step["refused"], answer, where)


async def _answer(way: Way, method: str, request: Message) -> Message | PodiumError:
    try:
        return await way.call(method, request)
    except PodiumError as error:
        return error


def _check_refusal(expected: Case, error: PodiumError, where: str) -> None:
    assert error.reason == expected["reason"], f"{where}: {error}"
    assert error.code == expected["code"], where
    assert expected.get("metadata", {}).items() <= error.metadata.items(), (where, error.metadata)
    assert all(part in error.message for part in expected.get("text", [])), (where, str(error))
    events = {kind: expected.get(kind, {}) for kind in ("permanent", "wait")}
    found: dict[str, dict[str, str]] = {"permanent": {}, "wait": {}}
    for refused in error.refusals:
        found["permanent" if refused.permanent else "wait"][str(refused.index)] = refused.reason
    assert found == events, where


def check(expected: Mapping[str, Any], answer: Message, where: str) -> None:
    """Compares fields by name with those of a response. None means that a field is unset."""
    for name, value in expected.items():
        field = answer.DESCRIPTOR.fields_by_camelcase_name[name]
        here = f"{where}: {name}"
        if value is None:
            assert not _is_set(answer, field), f"{here} is {getattr(answer, field.name)!r}"
        elif _is_message(field) and not _is_map(field):
            _check_messages(field, value, getattr(answer, field.name), here)
        else:
            wanted = ParseDict({name: value}, type(answer)())
            found = _plain(getattr(answer, field.name))
            assert found == _plain(getattr(wanted, field.name)), f"{here} is {found!r}"


def _check_messages(field: Any, expected: Any, answer: Any, where: str) -> None:
    if not field.is_repeated:
        check(expected, answer, where)
        return
    assert len(answer) == len(expected), f"{where} are {answer}"
    for index, (wanted, found) in enumerate(zip(expected, answer, strict=True)):
        check(wanted, found, f"{where}[{index}]")


def _is_message(field: Any) -> bool:
    return field.message_type is not None and not _is_value(field)


def _is_value(field: Any) -> bool:
    named = field.message_type.full_name if field.message_type else ""
    return named in ("podium.v1.Value", "google.protobuf.Timestamp")


def _is_map(field: Any) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _is_set(message: Message, field: Any) -> bool:
    if field.has_presence:
        return message.HasField(field.name)
    return any(found.name == field.name for found, _ in message.ListFields())


def _plain(value: Any) -> Any:
    """Converts a value so that doubles compare by their bits, and every NaN equals any other."""
    if isinstance(value, Message):
        return {field.name: _plain(inner) for field, inner in value.ListFields()}
    if isinstance(value, float):
        return "NaN" if value != value else struct.pack("<d", value)  # noqa: PLR0124 - NaN is not itself
    if hasattr(value, "items"):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(inner) for inner in value]
    return value
