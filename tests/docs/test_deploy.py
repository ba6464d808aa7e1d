"""The files in deploy/ agree with each other and with the server."""

import argparse
import configparser
import json
import os
import runpy
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml
from podium.cli._parsers import COMMANDS
from podium_server.serve.command import add_arguments
from podium_server.serve.environment import variable_of

_DEPLOY = Path(__file__).parents[2] / "deploy"
_UNIT = _DEPLOY / "podium.service"
_TOOL = runpy.run_path(str(_DEPLOY.parent / "tools" / "container_check.py"))
_IMAGE = list(_TOOL["instructions"]((_DEPLOY / "Dockerfile").read_text(encoding="utf-8")))
_COMMAND = "/srv/podium/venv/bin/podium"


def _variables() -> set[str]:
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    return {variable_of(action) for action in parser._actions}


def test_the_unit_sets_variables_that_exist() -> None:
    """Each variable that the systemd unit sets belongs to an option of `podium serve`."""
    lines = _UNIT.read_text(encoding="utf-8").splitlines()
    settings = [line.removeprefix("Environment=") for line in lines if line[:12] == "Environment="]
    names = {setting.partition("=")[0] for setting in settings}
    assert {"PODIUM_STORE", "PODIUM_LISTEN", "PODIUM_SERVE_TLS_CERT"} <= names
    assert names <= _variables()


def test_the_unit_gives_few_rights() -> None:
    """The systemd unit runs the server as a user of its own, which may write to one folder."""
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
    """`systemd-analyze verify` finds no fault in the unit.

    The unit's command is replaced by one that exists on this machine.
    """
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
    # The command also reports faults of other units, and of a machine without systemd.
    assert [line for line in checked.stderr.splitlines() if unit.name in line] == []


def _manifest() -> dict[str, Any]:
    """Returns the objects of the Kubernetes manifest by kind."""
    objects = yaml.safe_load_all((_DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8"))
    return {each["kind"]: each for each in objects}


def _pod() -> tuple[dict[str, Any], dict[str, Any]]:
    """Returns the pod of the manifest, and its container."""
    pod = _manifest()["StatefulSet"]["spec"]["template"]["spec"]
    [container] = pod["containers"]
    return pod, container


def test_the_image_and_the_manifest_set_variables_that_exist() -> None:
    """The image and the manifest set variables that exist, to values that are accepted."""
    _, container = _pod()
    given = {each["name"]: each["value"] for each in container["env"]} | _image_environment()
    assert {"PODIUM_LISTEN", "PODIUM_STORE", "PODIUM_SERVE_TLS_CERT"} <= given.keys()
    assert given.pop("PODIUM_ADDRESS") in given["PODIUM_LISTEN"].split(",")
    podium = {name: value for name, value in given.items() if name.startswith("PODIUM_")}
    assert podium.keys() <= _variables()
    with mock.patch.dict(os.environ, podium):
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        arguments = parser.parse_args([])
    assert arguments.listen == ["0.0.0.0:50051", "unix:/run/podium/podium.sock"]
    assert str(arguments.tls_key) == "/etc/podium/tls/tls.key"
    assert arguments.log_format == "json"


def _image_environment() -> dict[str, str]:
    """Returns the variables that the Dockerfile sets."""
    settings = [value for name, value in _IMAGE if name == "ENV"]
    parts = [part.partition("=") for each in settings for part in shlex.split(each)]
    return {name: value for name, _, value in parts}


def test_the_manifest_fits_the_image() -> None:
    """The manifest and the image have the same users, folders, ports and commands."""
    pod, container = _pod()
    image = dict(_IMAGE)
    user = pod["securityContext"]
    assert (
        image["USER"] == f"{user['runAsUser']}:{user['runAsGroup']}" == f"{user['fsGroup']}:10001"
    )
    assert {mount["mountPath"] for mount in container["volumeMounts"]} == {
        image["VOLUME"],
        "/run/podium",
        "/etc/podium/tls",
    }
    claims = _manifest()["StatefulSet"]["spec"]["volumeClaimTemplates"]
    volumes = {each["name"] for each in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in claims}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes
    assert image["EXPOSE"] == "50051"
    assert [port["containerPort"] for port in container["ports"]] == [50051]
    health = json.loads(image["HEALTHCHECK"].partition(" CMD ")[2])
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"] == health == ["podium", "health"]
    assert container["args"] == json.loads(image["CMD"]) == ["serve"]
    assert {"health", "serve"} <= COMMANDS.keys()


def test_the_pod_gives_few_rights() -> None:
    """The container does not run as root, and has a read-only root folder and no capabilities.

    A network policy allows no outgoing connections.
    """
    pod, container = _pod()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert _manifest()["StatefulSet"]["spec"]["replicas"] == 1
    labels = _manifest()["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    policy = _manifest()["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == labels
    assert _manifest()["Service"]["spec"]["selector"] == labels
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy


def test_the_image_copies_what_exists() -> None:
    """Each path that the image copies exists, and Dockerfile.dockerignore does not exclude it."""
    ignored = (_DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    copies = [shlex.split(value)[:-1] for name, value in _IMAGE if name == "COPY"]
    copied = {path for paths in copies if paths[0][:2] != "--" for path in paths}
    assert {f"!{path}" for path in copied} == {line for line in ignored if line.startswith("!")}
    assert [path for path in copied if not (_DEPLOY.parent / path).exists()] == []
