"""Tests that the blocking client is generated from the asynchronous one, with its docstrings."""

import importlib.util
import inspect
import sys
from pathlib import Path
from types import ModuleType

import podium
import pytest

from tests.each import each

_TOOL = Path(__file__).parents[2] / "tools/make_blocking.py"
_PAIRS = [
    (podium.Client, podium.AsyncClient),
    (podium.ExperimentHandle, podium.AsyncExperimentHandle),
    (podium.ArmHandle, podium.AsyncArmHandle),
]


def _tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(_TOOL.stem, _TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_blocking_client_is_current() -> None:
    """Each generated file is current. If one is not, run `make blocking`."""
    assert _tool().outdated() == []


def test_a_missing_or_edited_file_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A generated file that is missing or was edited is reported.

    With `write`, it is also generated again.
    """
    tool = _tool()
    for folder in ("aio", "blocking"):
        (tmp_path / folder).mkdir()
    (tmp_path / "aio" / "x.py").write_text(
        "class AsyncX:\n"
        '    """Use `async with AsyncX()` and `await x.f()`."""\n\n'
        "    async def f(self) -> list[int]:\n"
        "        return [await self.g(k) async for k in self.h()]\n"
    )
    (tmp_path / "aio" / "connection.py").write_text("written by hand")
    target = tmp_path / "blocking" / "x.py"
    monkeypatch.setattr(tool, "_CLIENT", tmp_path)
    assert tool.outdated() == [target]
    assert tool.outdated(write=True) == [target]
    assert target.read_text().partition("\n")[2] == (
        "class X:\n"
        '    """Use `with X()` and `x.f()`."""\n\n'
        "    def f(self) -> list[int]:\n"
        "        return [self.g(k) for k in self.h()]\n"
    )
    target.write_text(target.read_text() + "# edited\n")
    assert tool.outdated() == [target]


@each(("blocking", "asynchronous"), _PAIRS)
def test_both_clients_are_described_alike(blocking: type, asynchronous: type) -> None:
    """The docstring of each method describes every parameter, in both clients."""
    for kind in (blocking, asynchronous):
        assert "As `" not in (kind.__doc__ or "")
        for name, method in inspect.getmembers(kind, inspect.isfunction):
            if name.startswith("_"):
                continue
            parameters = [p for p in inspect.signature(method).parameters if p != "self"]
            text = inspect.getdoc(method) or ""
            missing = [p for p in parameters if f"\n    {p}: " not in text]
            assert (kind.__name__, name, missing) == (kind.__name__, name, [])


def test_descriptions_name_their_own_classes() -> None:
    """The code of the blocking client mentions no asynchronous class and no await."""
    for module in {kind.__module__ for kind, _ in _PAIRS}:
        source = inspect.getsource(sys.modules[module])
        assert "Async" not in source
        assert "await" not in source
