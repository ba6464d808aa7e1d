"""Tests of the choice of the front."""

import sys
from pathlib import Path

import pytest
from podium_server.rpc.fronts.grpcio import GrpcioFront
from podium_server.serve.fronts import front_of
from podium_server.serve.settings import ConfigError


def test_a_native_front_for_another_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the native front cannot be loaded, `auto` means grpcio, and `native` is an error."""
    (tmp_path / "podium_front.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("podium_front", "podium_server.rpc.fronts.native"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert front_of("auto") is GrpcioFront
    with pytest.raises(ConfigError, match="--front native needs more packages"):
        front_of("native")
