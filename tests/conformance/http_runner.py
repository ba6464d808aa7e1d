"""A runner that makes each call over HTTP with only Python's standard library."""

import json
import struct
import sys
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import unquote

import grpc
import podium
from google.protobuf.json_format import MessageToJson, Parse
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2  # type: ignore[import-untyped]  # no py.typed
from podium._wire.status import DETAILS_KEY, from_rpc_error

from tests.server.writes.ways import METHODS

__all__ = ["main"]

_SECONDS = 120
_TRAILERS = 0x80
_CODES = {code.name.lower(): code for code in grpc.StatusCode} | {
    "canceled": grpc.StatusCode.CANCELLED
}


class _Failed(grpc.RpcError):
    """The error of a call, in the form that gRPC's client raises."""

    def __init__(self, code: grpc.StatusCode, text: str, details: bytes) -> None:
        self._code, self._text, self._details = code, text, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._text

    def trailing_metadata(self) -> Any:
        return ((DETAILS_KEY, self._details),)


class _Response(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


def main() -> None:
    """Answers one request after the other, until the input ends."""
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            response = _call(asked)
        except grpc.RpcError as failed:
            error = from_rpc_error(failed)
            answer: dict[str, Any] = {"error": _said(error)}
        else:
            answer = {"response": b64encode(response.SerializeToString()).decode()}
        print(json.dumps(answer), flush=True)


def _said(error: podium.PodiumError) -> dict[str, Any]:
    return {
        "code": error.code,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
        "refusals": list(map(asdict, error.refusals)),
    }


def _call(asked: dict[str, str]) -> Message:
    method = METHODS[asked["call"]]
    request = GetMessageClass(method.input_type).FromString(b64decode(asked["request"]))
    response = GetMessageClass(method.output_type)()
    url = asked["address"], f"/{method.containing_service.full_name}/{method.name}"
    match asked["protocol"]:
        case "connect-json":
            found = _sent(*url, "application/json", MessageToJson(request).encode())
            Parse(_body(found), response)
        case "connect":
            found = _sent(*url, "application/proto", request.SerializeToString())
            response.ParseFromString(_body(found))
        case _:
            content = request.SerializeToString()
            framed = struct.pack(">BI", 0, len(content)) + content
            found = _sent(*url, "application/grpc-web+proto", framed)
            response.ParseFromString(_message(found))
    return response


def _sent(address: str, path: str, content_type: str, body: bytes) -> _Response:
    connection = HTTPConnection(address.removeprefix("http://"), timeout=_SECONDS)
    try:
        connection.request("POST", path, body, {"content-type": content_type})
        found = connection.getresponse()
        return _Response(found.status, dict(found.headers), found.read())
    finally:
        connection.close()


def _body(found: _Response) -> bytes:
    """Returns the message of a response in the protocol Connect, or raises its error."""
    if found.status == 200:
        return found.body
    said = json.loads(found.body)
    status = status_pb2.Status()
    for detail in said.get("details", []):
        value = b64decode(detail["value"] + "===")
        status.details.add(type_url=f"type.googleapis.com/{detail['type']}", value=value)
    raise _Failed(_CODES[said["code"]], said.get("message", ""), status.SerializeToString())


def _message(found: _Response) -> bytes:
    """Returns the message of a response in the protocol gRPC-Web, or raises its error."""
    content, trailers, rest = b"", dict(found.headers), found.body
    while rest:
        flag, size = struct.unpack(">BI", rest[:5])
        frame, rest = rest[5 : 5 + size], rest[5 + size :]
        if flag & _TRAILERS:
            lines = [line.split(":", 1) for line in frame.decode().split("\r\n") if line]
            trailers |= {name.strip().lower(): value.strip() for name, value in lines}
        else:
            content = frame
    number = int(trailers["grpc-status"])
    if number == 0:
        return content
    code = next(one for one in grpc.StatusCode if one.value[0] == number)
    details = b64decode(trailers.get(DETAILS_KEY, "") + "===")
    raise _Failed(code, unquote(trailers.get("grpc-message", "")), details)


if __name__ == "__main__":
    main()
