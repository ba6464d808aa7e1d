"""Tests that plain `protoc` and `buf generate` can generate code for other languages."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_PROJECT = Path(__file__).parents[2]
_PROTOS = sorted((_PROJECT / "proto").glob("podium/v1/*.proto"))
_BUF = Path(sys.executable).with_name("buf")
_JARS = Path.home() / ".m2" / "repository" / "com" / "google" / "protobuf" / "protobuf-java"

# For each language, a file whose path or content depends on the language's options in the protos.
_WRITTEN = {
    "csharp": ("ArmResult.cs", "namespace Podium.V1 {"),
    "java": ("podium/v1/ArmResult.java", "package podium.v1;"),
    "kotlin": ("podium/v1/ArmResultKt.kt", "package podium.v1"),
    "objc": ("podium/v1/ArmResult.pbobjc.h", "@interface PDMArmResult "),
    "php": ("Podium/V1/ArmResult.php", r"namespace Podium\V1;"),
    "python": ("podium/v1/arm_result_pb2.py", "podium.v1.arm_result_pb2"),
    "ruby": ("podium/v1/arm_result_pb.rb", "module Podium\n  module V1\n"),
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("protoc") is None, reason="there is no protoc"),
]


def _protoc(language: str, folder: Path) -> None:
    folder.mkdir()
    command = [
        "protoc",
        f"--proto_path={_PROJECT / 'proto'}",
        f"--{language}_out={folder}",
        *map(str, _PROTOS),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("language", _WRITTEN)
def test_protoc_writes_code(language: str, tmp_path: Path) -> None:
    """`protoc` generates the code of a language without a warning.

    The names of files and namespaces follow the conventions of the language.
    """
    _protoc(language, tmp_path / language)
    path, text = _WRITTEN[language]
    assert text in (tmp_path / language / path).read_text(encoding="utf-8")


def test_the_java_code_compiles(tmp_path: Path) -> None:
    """`javac` compiles the generated Java code. The message ScoreRequest has a class of its own."""
    jars = sorted(_JARS.glob("*/protobuf-java-*.jar"))
    if shutil.which("javac") is None or not jars:
        pytest.skip("there is no javac, or no library of protobuf for it")
    _protoc("java", tmp_path / "java")
    classes = tmp_path / "classes"
    sources = map(str, (tmp_path / "java").rglob("*.java"))
    command = ["javac", "-nowarn", "-proc:none", "-d", str(classes), "-cp", str(jars[-1]), *sources]
    subprocess.run(command, check=True)
    assert (classes / "podium" / "v1" / "ScoreRequest.class").exists()


@pytest.mark.skipif(not _BUF.exists(), reason="there is no buf")
def test_buf_generates(tmp_path: Path) -> None:
    """`buf generate` with the project's template writes code for every language in it."""
    command = [str(_BUF), "generate", "--output", str(tmp_path)]
    subprocess.run(command, cwd=_PROJECT, check=True)
    written = {
        path.name for path in (tmp_path / "build" / "stubs").iterdir() if any(path.iterdir())
    }
    assert written == {*_WRITTEN, "cpp"}
