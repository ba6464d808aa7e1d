"""The files in deploy/ fit the server."""

import argparse
import configparser
import shutil
import subprocess
from pathlib import Path

import pytest
from podium_server.serve.command import add_arguments
from podium_server.serve.environment import variable_of

_UNIT = Path(__file__).parents[2] / "deploy" / "podium.service"
_COMMAND = "/srv/podium/venv/bin/podium"


def _variables() -> set[str]:
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    return {variable_of(action) for action in parser._actions}


def test_the_unit_sets_variables_that_exist() -> None:
    """Each variable of the unit is that of an option of `podium serve`."""
    lines = _UNIT.read_text(encoding="utf-8").splitlines()
    settings = [line.removeprefix("Environment=") for line in lines if line[:12] == "Environment="]
    names = {setting.partition("=")[0] for setting in settings}
    assert {"PODIUM_STORE", "PODIUM_LISTEN", "PODIUM_SERVE_TLS_CERT"} <= names
    assert names <= _variables()


def test_the_unit_gives_few_rights() -> None:
    """The server runs as a user of its own, and may write to one folder."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # the documented way
    unit.read(_UNIT)
    service = unit["Service"]
    assert service["User"] == "podium"
    assert service["ExecStart"] == f"{_COMMAND} serve"
    assert service["ReadWritePaths"] == "/srv/podium"
    assert (service["ProtectSystem"], service["NoNewPrivileges"]) == ("strict", "yes")
    assert service["CapabilityBoundingSet"] == ""


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd checks the unit")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """Systemd finds no fault in it, where its command exists."""
    unit = tmp_path / _UNIT.name
    true = shutil.which("true")
    unit.write_text(_UNIT.read_text(encoding="utf-8").replace(_COMMAND, str(true)))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],  # noqa: S607 - that of the system
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    # It also reports faults of other units, and of a machine that runs no systemd.
    assert [line for line in checked.stderr.splitlines() if unit.name in line] == []
