"""Tests that every field of every message of the model is converted in both directions."""

import re
from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from podium import v1
from podium._wire import codec, listings, rankings
from podium._wire.tables import Codec

from tests import messages
from tests.unit.wire.filling import fill, fill_field

# Requests and events have no codec, and values have their own tests.
_OTHER_FILES = re.compile(
    r"_service_pb2|_grpc$|event_pb2|error_reason_pb2|value_pb2|config_filter_pb2"
)
# A server always sets these fields, so the model cannot represent that they are missing.
_ALWAYS_SET = {
    "Attempt.order",
    "ArmResult.status",
    "MetricSource.origin",
    "Server.limits",
    "Token.limits",
    "ArmSummary.status",
    "Experiment.status",
    "Experiment.arm_counts",
    "ArmSummary.run_config",
    "ArmResult.run_config",
    "RankCounts.left_out",
    "RankSource.origin",
    "RankedGroup.statistics",
    "RankedArm.status",
    "ScoreColumn.present",
    "ScoreColumn.values",
    "ScoreSource.origin",
    "ScoredArm.status",
    "Token.role",
    "WatchedArm.arm",
    "WatchedEval.eval_result",
}

_FUNCTIONS: dict[str, Any] = {**vars(rankings), **vars(listings), **vars(codec), **vars(messages)}


def _messages() -> list[type[Message]]:
    names = [module.name for module in iter_modules(v1.__path__, "podium.v1.")]
    files = [import_module(name) for name in names if not _OTHER_FILES.search(name)]
    found = (m for file in files for m in file.DESCRIPTOR.message_types_by_name.values())
    return [GetMessageClass(m) for m in found]


def _pair(kind: type[Message]) -> tuple[Callable[[Any], Message], Callable[[Message], Any]]:
    tables = [c for c in _FUNCTIONS.values() if isinstance(c, Codec) and c.message is kind]
    name = re.sub(r"(?<!^)(?=[A-Z])", "_", kind.DESCRIPTOR.name).lower()
    writer, reader = f"{name}_to_proto", f"{name}_from_proto"
    if writer in _FUNCTIONS and reader in _FUNCTIONS:
        return _FUNCTIONS[writer], _FUNCTIONS[reader]
    return tables[0].to_proto, tables[0].from_proto


# One test loops over all fields: a test for each would take longer to collect than to run.
_FIELDS = [(kind, field) for kind in _messages() for field in kind.DESCRIPTOR.fields_by_name]


def test_a_full_message_comes_back_as_it_was() -> None:
    """Each message has a codec, or a pair of functions, that converts all of its fields."""
    for kind in _messages():
        to_proto, from_proto = _pair(kind)
        message = kind()
        fill(message)
        assert to_proto(from_proto(message)) == message


def test_a_field_that_is_not_set_stays_so() -> None:
    """A field that is not set stays unset after conversion. The other fields are kept."""
    for kind, field in _FIELDS:
        to_proto, from_proto = _pair(kind)
        message = kind()
        fill(message)
        message.ClearField(field)
        read = from_proto(message)
        if f"{kind.DESCRIPTOR.name}.{field}" not in _ALWAYS_SET:
            assert to_proto(read) == message, field


def test_a_single_field_can_be_read() -> None:
    """A message can be read even if only one of its fields is set."""
    for kind, field in _FIELDS:
        message = kind()
        fill_field(message, field)
        _pair(kind)[1](message)
