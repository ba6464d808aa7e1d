"""Tests that the generated code of each language is current.

The code of each language contains the descriptors of the protos that it was generated from. The
tests compare these descriptors without any toolchain. They do not compare comments.
"""

import ast
import importlib
import re
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from tests.each import each

_PROJECT = Path(__file__).parents[2]
_CLIENTS = _PROJECT / "client"
_PROTOS = sorted((_PROJECT / "proto" / "podium" / "v1").glob("*.proto"))

_GO_LITERAL = re.compile(r'^(?:const file_\w+_rawDesc = )?\s*"(?P<text>.*)"(?: \+)?$', re.MULTILINE)
_TYPESCRIPT_LITERAL = re.compile(r'fileDesc\("(?P<text>[^"]+)"')


def _in_go(name: str) -> FileDescriptorProto:
    text = (_CLIENTS / "go" / "podiumv1" / f"{name}.pb.go").read_text(encoding="utf-8")
    raw = text[text.index("_rawDesc = ") : text.index("_rawDescOnce ")]
    literals = (match["text"].encode() for match in _GO_LITERAL.finditer(raw))
    # Go strings and Python bytes have the same escapes. Other characters are stored in UTF-8.
    parts = [ast.literal_eval('b"' + _ascii(literal) + '"') for literal in literals]
    return FileDescriptorProto.FromString(b"".join(parts))


def _ascii(literal: bytes) -> str:
    return "".join(chr(byte) if byte < 0x80 else f"\\x{byte:02x}" for byte in literal)


def _in_typescript(name: str) -> FileDescriptorProto:
    text = (_CLIENTS / "typescript/src/podium/v1" / f"{name}_pb.ts").read_text(encoding="utf-8")
    (encoded,) = [match["text"] for match in _TYPESCRIPT_LITERAL.finditer(text)]
    return FileDescriptorProto.FromString(b64decode(encoded + "=" * (-len(encoded) % 4)))


def _in_rust(name: str) -> FileDescriptorProto:
    stored = (_CLIENTS / "rust" / "src" / "v1" / "podium.v1.binpb").read_bytes()
    files = {file.name: file for file in FileDescriptorSet.FromString(stored).file}
    return files[f"podium/v1/{name}.proto"]


def _in_python(name: str) -> FileDescriptorProto:
    module = importlib.import_module(f"podium.v1.{name}_pb2")
    return FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)


def _plain(file: FileDescriptorProto) -> FileDescriptorProto:
    """Returns a file's descriptor without the parts that some generators leave out or add."""
    file.ClearField("options")
    file.ClearField("dependency")
    for message in file.message_type:
        for part in (message, *message.nested_type):
            for field in part.field:
                field.ClearField("json_name")
    return file


@each("stored", [_in_go, _in_typescript, _in_rust])
def test_stubs_are_of_the_present_protos(stored: Callable[[str], FileDescriptorProto]) -> None:
    """The descriptors in the code equal those in the Python code.

    If they differ, run make proto-go, proto-typescript or proto-rust.
    """
    assert len(_PROTOS) > 10
    for proto in _PROTOS:
        assert _plain(stored(proto.stem)) == _plain(_in_python(proto.stem)), proto.name
