"""Prints the API reference as Markdown, generated from the comments in the protos.

Usage: `python tools/api_docs.py FILE`, where FILE contains a FileDescriptorSet with source info.
`make docs` runs it, and writes docs/api.md.
"""

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    ServiceDescriptorProto,
)

_INTRODUCTION = """\
# API reference

Written from the comments in `proto/podium/v1` by `make docs`: change them there, never here.

Package `podium.v1`. For fields that are marked *optional* and for messages, "not set" differs from
zero and from empty. Every other field that is not sent has the value zero, empty or false. A
request without a field that is marked *Required* is rejected. The server also has the standard
service `grpc.health.v1.Health`. `buf.gen.yaml` generates code for languages without a client.

## Connections

By default, a server answers gRPC at `localhost:50051`. The connection is not encrypted unless the
server has a [certificate](security.md#encryption). A [token](security.md#tokens) is sent with each
call, as the metadata `authorization: Bearer pdm_…`.

If the server has an [HTTP port](server.md#http), each call can also be sent as a POST with the
content type `application/json`. This page has the path below the name of each call, such as
`/podium.v1.ResultsService/Eval`. The protocol is [Connect](https://connectrpc.com/docs/protocol).
Requests and responses are the messages in the [JSON form of
protobuf](https://protobuf.dev/programming-guides/json/): names of fields like `evalResult`, names
of enum values, integers of 64 bits as strings, and the texts `NaN`, `Infinity` and `-Infinity` for
such doubles. Fields that are zero or empty are left out, unless they are marked *optional*. A token
is sent in the header `authorization`, and a deadline in `connect-timeout-ms`.

An error has an HTTP status of 400 or more, and a body with `code` (such as `not_found`), `message`
and `details`. Each detail has a `type`, such as `google.rpc.ErrorInfo`, the message in base64
without padding as its `value`, and the message in JSON as `debug`. A `google.rpc.RetryInfo` has the
wait as `retryDelay`, such as `"0.5s"`, and a `podium.v1.Refusals` the rejected events:

```json
{"code": "not_found", "message": "experiment 'e' has no arm 'a'", "details": [
  {"type": "google.rpc.ErrorInfo", "value": "Cg1BUk1fTk9UX0ZPVU5E…", "debug":
    {"reason": "ARM_NOT_FOUND", "domain": "podium", "metadata": {"experiment": "e", "arm": "a"}}}
]}
```

Watch is a stream: its content type is `application/connect+json`, and each message, the request
included, has 5 bytes before it. The first one is 0, and the others are the size of the message as a
big-endian integer. In the last message, the first byte is 2 and the JSON has an `error` like the
above if the watch failed.

An attempt at training an arm begins with [ArmStarted](#armstarted) and ends with
[ArmFinished](#armfinished). The events of the attempt have its id. To record them exactly once,
choose a random `writer_id` for each attempt, and send its events with the positions 1, 2, 3, and so
on, one call after the other. Repeat a call that fails with the same position. If you give up on a
call, continue with another `writer_id` from 1 ([more](clients.md#recording-a-training-run)).

## Errors, deadlines and retries

A failed call has a status code and a text. Its details are a `google.rpc.Status` in the binary
trailer `grpc-status-details-bin`. They contain a `google.rpc.ErrorInfo` with domain `podium`, a
[reason](#errorreason) and metadata. If the server asks for a certain wait, they also contain a
`google.rpc.RetryInfo`. The details of a rejected Record call contain a [Refusals](#refusals). Text
and details together have at most 7 KiB, because gRPC peers reject more than 8 KiB of headers. Long
texts are cut at the end.

- Send each call with a deadline. The clients use 10 seconds for reads and 30 seconds for writes.
- Retry UNAVAILABLE, and RESOURCE_EXHAUSTED with the reason `OVERLOADED` or `QUOTA_EXCEEDED`, until
  the deadline. Wait for the time in RetryInfo. Without it, wait 0.1 seconds at first, then twice as
  long each time, up to 1 second, and vary each wait at random.
- After DEADLINE_EXCEEDED or a lost connection it is unknown whether a write was stored. Sending it
  again is safe: each method has an `idempotency_level`, NO_SIDE_EFFECTS for reads and IDEMPOTENT
  for writes. CreateToken has none: each call creates a token.
- All other errors are final: the same request fails again. There is one exception. A Record call
  that was rejected with a refusal of the kind WAIT can succeed once the experiment or arm exists.
"""

_ERROR_FILE = "podium/v1/error_reason.proto"
_ERROR_PREFIX = "ERROR_REASON_"

# Comments of ErrorReason's values have the form `CODE, disposition. Meaning. Metadata: keys.`
_ERROR_COMMENT = re.compile(
    r"(?P<code>[A-Z_]+)(?:, (?P<refused>permanent|wait))?\. (?P<meaning>.*?)"
    r"(?: Metadata: (?P<metadata>.*?)\.)?(?:\n\n(?P<sample>.*))?",
    re.DOTALL,
)

# Numbers of fields in descriptor.proto. The path of a comment consists of them and of indices.
_MESSAGE, _ENUM, _SERVICE = 4, 5, 6
_MEMBER = 2

_SCALARS = {
    FieldDescriptorProto.TYPE_DOUBLE: "double",
    FieldDescriptorProto.TYPE_INT64: "int64",
    FieldDescriptorProto.TYPE_INT32: "int32",
    FieldDescriptorProto.TYPE_BOOL: "bool",
    FieldDescriptorProto.TYPE_STRING: "string",
    FieldDescriptorProto.TYPE_BYTES: "bytes",
}


@dataclass(frozen=True)
class _Type:
    """A message or an enum, with the path of its comments."""

    descriptor: DescriptorProto | EnumDescriptorProto
    path: tuple[int, ...]


def _numbered(
    number: int, descriptors: Iterable[DescriptorProto | EnumDescriptorProto]
) -> dict[str, _Type]:
    return {item.name: _Type(item, (number, i)) for i, item in enumerate(descriptors)}


class _File:
    """A proto file and its comments."""

    def __init__(self, descriptor: FileDescriptorProto) -> None:
        self.name = descriptor.name
        self.services = descriptor.service
        self._enums = descriptor.enum_type
        messages = _numbered(_MESSAGE, descriptor.message_type)
        self.types = messages | _numbered(_ENUM, descriptor.enum_type)
        self._comments = {
            tuple(location.path): location.leading_comments
            for location in descriptor.source_code_info.location
        }

    def values(self, enum: str) -> list[str]:
        """Returns the names of the values of an enum."""
        return [value.name for item in self._enums if item.name == enum for value in item.value]

    def comment(self, *path: int) -> str:
        """Returns the comment at a path.

        Each paragraph and each list item is one line. Empty lines separate them.

        Raises:
            SystemExit: There is no comment.
        """
        paragraphs = re.split(r"\n\s*\n|\n\s*(?=- )", self._comments.get(path, ""))
        text = "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs).strip()
        if not text:
            sys.exit(f"{self.name}: no comment at {path}")
        return text


class _Page:
    """The reference page of all proto files."""

    def __init__(self, files: Iterable[_File]) -> None:
        self._files = sorted(files, key=lambda file: file.name)
        errors = next(file for file in self._files if file.name == _ERROR_FILE)
        self._errors = errors
        self._reasons = [name.removeprefix(_ERROR_PREFIX) for name in errors.values("ErrorReason")]
        self._names = {name for file in self._files for name in file.types}

    def lines(self) -> Iterator[str]:
        yield _INTRODUCTION
        yield from self._contents()
        for file in self._files:
            for index, service in enumerate(file.services):
                yield from self._service(file, index, service)
        yield "## Messages\n"
        for file in self._concepts():
            for name in file.types:
                yield from self._type(file, name, "###")
        yield from self._error_table()

    def _concepts(self) -> list[_File]:
        return [file for file in self._files if not file.services and file is not self._errors]

    def _contents(self) -> Iterator[str]:
        for service in (service for file in self._files for service in file.services):
            yield f"- {_link(service.name)}: {', '.join(_link(rpc.name) for rpc in service.method)}"
        names = [name for file in self._concepts() for name in file.types]
        yield f"- {_link('Messages')}: {', '.join(map(_link, names))}"
        yield f"- {_link('ErrorReason')}\n"

    def _service(self, file: _File, index: int, service: ServiceDescriptorProto) -> Iterator[str]:
        yield f"## {service.name}\n\n{self._text(file.comment(_SERVICE, index))}\n"
        shown: set[str] = set()
        for number, method in enumerate(service.method):
            comment = self._text(file.comment(_SERVICE, index, _MEMBER, number))
            yield f"### {method.name}\n\n`/podium.v1.{service.name}/{method.name}`\n\n{comment}\n"
            for name in _types_of(file, method):
                if name not in shown:
                    shown.add(name)
                    yield from self._type(file, name, "####")
        yield from self._rest(file, shown)

    def _rest(self, file: _File, shown: set[str]) -> Iterator[str]:
        """Yields the types of a service's file that no rpc of the service uses."""
        for name in file.types:
            if name not in shown:
                yield from self._type(file, name, "###")

    def _type(self, file: _File, name: str, heading: str) -> Iterator[str]:
        item = file.types[name]
        yield f"{heading} {name}\n\n{self._text(file.comment(*item.path), but=name)}\n"
        rows = list(self._rows(file, item))
        if rows:
            kind = (
                "Field | Type" if isinstance(item.descriptor, DescriptorProto) else "Value | Number"
            )
            yield "\n".join([f"| {kind} | Meaning |", "|---|---|---|", *rows]) + "\n"

    def _rows(self, file: _File, item: _Type) -> Iterator[str]:
        if isinstance(item.descriptor, EnumDescriptorProto):
            members = [(value.name, str(value.number)) for value in item.descriptor.value]
        else:
            members = [(f.name, self._type_of(item.descriptor, f)) for f in item.descriptor.field]
        for index, (name, kind) in enumerate(members):
            comment = self._cell(file.comment(*item.path, _MEMBER, index), but=item.descriptor.name)
            yield f"| `{name}` | {kind} | {comment} |"

    def _type_of(self, message: DescriptorProto, field: FieldDescriptorProto) -> str:
        entry = next(
            (m for m in message.nested_type if field.type_name.endswith(f".{m.name}")), None
        )
        if entry is not None:
            key, value = (self._type_name(part) for part in entry.field)
            return f"map of {key} to {value}"
        name = self._type_name(field)
        if field.label == FieldDescriptorProto.LABEL_REPEATED:
            return f"list of {name}"
        if field.proto3_optional:
            return f"{name}, *optional*"
        if field.HasField("oneof_index"):
            return f"{name}, one of `{message.oneof_decl[field.oneof_index].name}`"
        return name

    def _type_name(self, field: FieldDescriptorProto) -> str:
        name = field.type_name.rpartition(".")[2]
        if name in self._names:
            return _link(name)
        return f"`{field.type_name.removeprefix('.') or _SCALARS[field.type]}`"

    def _error_table(self) -> Iterator[str]:
        comment = self._errors.comment(*self._errors.types["ErrorReason"].path)
        yield f"## ErrorReason\n\n{self._text(comment, but='ErrorReason')}\n"
        rows = [self._error_row(index, name) for index, name in enumerate(self._reasons) if index]
        head = "| Reason | Status code | If rejected | Meaning | Metadata |"
        yield "\n".join([head, "|---|---|---|---|---|", *rows])

    def _error_row(self, index: int, name: str) -> str:
        path = self._errors.types["ErrorReason"].path
        comment = self._errors.comment(*path, _MEMBER, index)
        match = _ERROR_COMMENT.fullmatch(comment)
        if match is None:
            sys.exit(f"{_ERROR_FILE}: the comment of {name} does not begin with a status code")
        parts = {key: self._cell(value or "", but=name) for key, value in match.groupdict().items()}
        anchor = f'<a id="{name.lower()}"></a>`{name}`'
        meaning = "<br>".join(filter(None, (parts["meaning"], parts["sample"])))
        return (
            f"| {anchor} | {parts['code']} | {parts['refused']} | {meaning} | {parts['metadata']} |"
        )

    def _cell(self, comment: str, *, but: str) -> str:
        return self._text(comment, but=but).replace("\n\n", "<br>").replace("|", r"\|")

    def _text(self, comment: str, *, but: str = "") -> str:
        """Returns a comment with a link at each name of a type or reason, except the name `but`."""

        def link(match: re.Match[str]) -> str:
            word = match[0]
            known = word in self._names or word in self._reasons
            return _link(word) if known and word != but else word

        # Only names such as EvalResult or ARM_NOT_FOUND: Value and INTERNAL can be ordinary words.
        return re.sub(
            r"(?<![`\w.])(?:[A-Z][a-z]+){2,}\b(?![`.]\w)|\b[A-Z]+(?:_[A-Z]+)+\b", link, comment
        )


def _types_of(file: _File, method: MethodDescriptorProto) -> Iterator[str]:
    """Yields the names of a method's request and response, then of the types that they contain."""
    waiting = [_local(method.input_type), _local(method.output_type)]
    while waiting:
        name = waiting.pop(0)
        if name not in file.types:
            continue
        yield name
        descriptor = file.types[name].descriptor
        if isinstance(descriptor, DescriptorProto):
            waiting += [_local(field.type_name) for field in descriptor.field]


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _local(type_name: str) -> str:
    return type_name.rpartition(".")[2]


def _main() -> None:
    descriptors = FileDescriptorSet.FromString(Path(sys.argv[1]).read_bytes())
    files = [_File(file) for file in descriptors.file if file.package == "podium.v1"]
    print("\n".join(_Page(files).lines()))


if __name__ == "__main__":
    _main()
