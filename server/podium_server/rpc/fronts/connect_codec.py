"""Converts messages, methods and errors between the server's handlers and connectrpc."""

import json
from dataclasses import dataclass
from typing import Any

from connectrpc.code import Code
from connectrpc.codec import Codec
from connectrpc.errors import ConnectError, ErrorDetail
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.json_format import MessageToDict, MessageToJson, ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2  # type: ignore[import-untyped]  # no py.typed
from podium._wire.status import Status
from protobuf import message_from_json_value
from protobuf.wkt import Any as AnyMessage
from protobuf.wkt import Struct

from podium_server.errors import failure
from podium_server.rpc.handlers import Method, UnaryMethod

__all__ = ["CODECS", "Payload", "connect_error", "method_info"]

_CODES = {code.name: code for code in Code} | {"CANCELLED": Code.CANCELED}
_NO_SIDE_EFFECTS = MethodOptions.IdempotencyLevel.NO_SIDE_EFFECTS


@dataclass(frozen=True, slots=True)
class Payload:
    """A request or a response: an encoded message and its type."""

    kind: type[Message]
    content: bytes
    is_json: bool = False

    def binary(self) -> bytes:
        """Returns the message in the binary encoding.

        Raises:
            PodiumError: MALFORMED_REQUEST if the content is JSON that does not describe a message
                of this type.
        """
        if not self.is_json:
            return self.content
        try:
            content = json.loads(self.content, parse_int=_integer, object_pairs_hook=_object)
            return ParseDict(content, self.kind()).SerializeToString()
        # For content of a wrong shape, such as a list, ParseDict raises errors of other types.
        except (ParseError, RecursionError, TypeError, AttributeError, ValueError) as error:
            name, problem = self.kind.DESCRIPTOR.name, str(error).partition("\n")[0]
            raise failure("MALFORMED_REQUEST", f"the request is not a {name}: {problem}") from error

    def to_json(self) -> "Payload":
        """Returns the message as JSON."""
        text = MessageToJson(self.kind.FromString(self.content), indent=None)
        return Payload(self.kind, text.encode(), is_json=True)


def _integer(text: str) -> int | float:
    """Parses an integer. Returns -0.0 for "-0": some clients write -0.0 as "-0"."""
    return -0.0 if text == "-0" else int(text)


def _object(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object as a dict. Raises ParseError if two fields have the same name."""
    found = dict(fields)
    if len(found) < len(fields):
        names = [name for name, _ in fields]
        twice = next(name for name in names if names.count(name) > 1)
        raise ParseError(f"two fields are named {twice!r}")
    return found


class _Codec(Codec[Payload, Any]):
    """Passes encoded messages on unchanged. The handler of the method converts JSON."""

    def __init__(self, name: str) -> None:
        self._name = name

    def name(self) -> str:
        """Returns the name of the encoding in a content type."""
        return self._name

    def encode(self, message: Payload) -> bytes:
        return message.content

    def decode(self, data: bytes | bytearray, message_class: type[Any]) -> Any:
        return Payload(message_class, bytes(data), is_json=self._name == "json")


CODECS: list[Codec[Any, Any]] = [_Codec("proto"), _Codec("json")]
"""The encodings of messages."""


def method_info(method: Method) -> MethodInfo[Any, Any]:
    """Returns the description of a method for connectrpc.

    Methods without side effects allow GET.
    """
    found = descriptor_pool.Default().FindMethodByName(method.name)
    level = found.GetOptions().idempotency_level
    return MethodInfo(
        name=found.name,
        service_name=found.containing_service.full_name,
        input=GetMessageClass(found.input_type),
        output=GetMessageClass(found.output_type),
        idempotency_level=IdempotencyLevel.NO_SIDE_EFFECTS
        if level == _NO_SIDE_EFFECTS
        else IdempotencyLevel.UNKNOWN,
        stream_type=StreamType.UNARY
        if isinstance(method, UnaryMethod)
        else StreamType.SERVER_STREAM,
    )


def connect_error(status: Status) -> ConnectError:
    """Returns the connectrpc error with the code, the message and the details of a status."""
    [(_, encoded)] = status.trailing_metadata
    details = map(_ReadableDetail, status_pb2.Status.FromString(encoded).details)
    return ConnectError(_CODES[status.code.name], status.text, details)


class _ReadableDetail(ErrorDetail):
    """A detail of an error. connectrpc sends its encoded bytes, and its JSON in `debug`."""

    def __init__(self, detail: Any) -> None:
        super().__init__(AnyMessage(type_url=detail.type_url, value=detail.value))
        fields = MessageToDict(detail)
        del fields["@type"]
        # connectrpc accepts no messages of google.protobuf.
        self._fields = message_from_json_value(Struct, fields)

    def value(self, _kind: object = None, /) -> Any:
        return self._fields
