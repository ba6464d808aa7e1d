"""Requests over HTTP, and their responses."""

import asyncio
import json
import struct
from base64 import b64decode
from http.client import HTTPConnection

from google.rpc.error_details_pb2 import ErrorInfo  # type: ignore[import-untyped]

__all__ = ["JSON", "PROTO", "Response", "framed", "send"]

JSON = {"content-type": "application/json"}
PROTO = {"content-type": "application/proto"}


class Response:
    """The status, the headers and the body of a response."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    @property
    def error(self) -> tuple[int, str, str]:
        """The HTTP status, the code and the reason of an error."""
        said = json.loads(self.body)
        reasons = [
            ErrorInfo.FromString(b64decode(detail["value"] + "===")).reason
            for detail in said.get("details", [])
            if detail["type"] == "google.rpc.ErrorInfo"
        ]
        return self.status, said["code"], "".join(reasons)


async def send(
    url: str, path: str, body: bytes | None, headers: dict[str, str], method: str = "POST"
) -> Response:
    """Sends a request and returns the response."""

    def exchange() -> Response:
        connection = HTTPConnection(url.removeprefix("http://"), timeout=120)
        try:
            connection.request(method, path, body, headers)
            found = connection.getresponse()
            return Response(
                found.status, {k.lower(): v for k, v in found.headers.items()}, found.read()
            )
        finally:
            connection.close()

    return await asyncio.to_thread(exchange)


def framed(content: bytes) -> bytes:
    """Returns a message with the five bytes that precede it in a stream: flag and length."""
    return struct.pack(">BI", 0, len(content)) + content
