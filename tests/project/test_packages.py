"""Tests of the two packages: what they import, their types, and their version."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import podium
import pytest

from tests.each import each

_PROJECT = Path(__file__).parents[2]


def _modules_after(statement: str) -> set[str]:
    """Returns the modules that a fresh interpreter has loaded after a statement."""
    code = f"{statement}; import json, sys; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    return set(json.loads(answer.stdout))


def test_import_podium_loads_neither_grpc_nor_protobuf() -> None:
    """`import podium` loads neither gRPC nor protobuf, so a training process can fork."""
    loaded = _modules_after("import podium")
    assert "podium" in loaded
    assert {name for name in loaded if name.split(".")[0] in {"grpc", "google"}} == set()


def test_import_podium_loads_little() -> None:
    """`import podium` does not load typing, which takes longer than all other imports."""
    assert "typing" not in _modules_after("import sys; sys.modules.pop('typing', 0); import podium")


@pytest.mark.parametrize("package", ["podium", "podium_server"])
def test_packages_are_typed(package: str) -> None:
    """Each package has a py.typed, so that type checkers read its annotations."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations is not None
    assert (Path(spec.submodule_search_locations[0]) / "py.typed").is_file()


def test_one_version() -> None:
    """pyproject.toml, the package, its metadata and the changelog have the same version."""
    with (_PROJECT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    changelog = (_PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")
    newest = re.search(r"^## (\S+?),? ", changelog, re.MULTILINE)
    assert newest is not None
    assert podium.__version__ == metadata.version("podium") == version == newest[1]


@each(
    ("file", "line"),
    [
        ("client/cpp/CMakeLists.txt", "project(podium VERSION {version} "),
        (
            "client/java/pom.xml",
            "<artifactId>podium-client</artifactId>\n  <version>{version}</version>",
        ),
        ("client/java/src/main/java/podium/Server.java", 'VERSION = "{version}"'),
        ("client/rust/Cargo.toml", '[workspace.package]\nversion = "{version}"'),
        ("client/typescript/package.json", '"version": "{version}"'),
    ],
)
def test_the_clients_have_the_version(file: str, line: str) -> None:
    """The clients for other languages have the version of the Python package."""
    text = (_PROJECT / file).read_text(encoding="utf-8")
    assert line.format(version=podium.__version__) in text


def test_the_version_is_read_when_asked() -> None:
    """`import podium` does not load importlib.metadata. Reading `__version__` does."""
    assert "importlib.metadata" not in _modules_after("import podium")
    assert "importlib.metadata" in _modules_after("import podium; podium.__version__")
    assert "__version__" in dir(podium)
