"""The generated code of the Rust client is current: nobody's build writes it anew."""

import importlib
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

_PROJECT = Path(__file__).parents[2]
_GENERATED = _PROJECT / "client" / "rust" / "src" / "v1"
_PROTOS = sorted((_PROJECT / "proto" / "podium" / "v1").glob("*.proto"))


def _without_json_names(file: FileDescriptorProto) -> FileDescriptorProto:
    for message in file.message_type:
        for part in (message, *message.nested_type):
            for field in part.field:
                field.ClearField("json_name")
    return file


def _described_in_python(proto: Path) -> FileDescriptorProto:
    module = importlib.import_module(f"podium.v1.{proto.stem}_pb2")
    return _without_json_names(FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb))


def test_rust_is_generated_from_the_present_protos() -> None:
    """What Rust was generated from says the same as the Python code: else run make proto-rust."""
    stored = FileDescriptorSet.FromString((_GENERATED / "podium.v1.binpb").read_bytes())
    files = {file.name: _without_json_names(file) for file in stored.file}
    assert len(_PROTOS) > 10
    for proto in _PROTOS:
        assert files[f"podium/v1/{proto.name}"] == _described_in_python(proto), proto.name
