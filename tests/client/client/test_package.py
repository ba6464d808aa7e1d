"""Tests of what `import podium` loads and offers."""

import ast
import subprocess
import sys
from pathlib import Path

import podium
import pytest


def test_importing_loads_neither_grpc_nor_protobuf() -> None:
    """`import podium` and the use of its public classes load neither grpc nor protobuf."""
    script = (
        "import sys, podium\n"
        "podium.ArmResult, podium.RunConfig, podium.PodiumError, podium.ArmRecorder, podium.Score\n"
        "loaded = [name for name in sys.modules if name.startswith(('grpc', 'google'))]\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_all_public_names_exist() -> None:
    """Each name of `__all__` exists and appears in dir(). `__all__` is sorted."""
    assert podium.__all__ == sorted(podium.__all__, key=lambda name: (not name.isupper(), name))
    for name in podium.__all__:
        assert getattr(podium, name) is not None
        assert name in dir(podium)


def test_type_checkers_see_exactly_the_public_names() -> None:
    """The imports that type checkers read are exactly the public names."""
    tree = ast.parse(Path(podium.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imported = [
        alias.name
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(imported) == sorted(podium.__all__)


def test_every_error_is_public() -> None:
    """Each exception class is a public name of the package."""
    for error_class in podium.PodiumError.__subclasses__():
        assert getattr(podium, error_class.__name__) is error_class


def test_a_misspelt_name() -> None:
    """A misspelt name raises an AttributeError that names the package."""
    with pytest.raises(AttributeError, match="'podium' has no attribute 'Clinet'"):
        _ = podium.Clinet  # type: ignore[attr-defined]
