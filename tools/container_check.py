"""Runs the steps of deploy/Dockerfile without Docker, and then the server as in the container.

Usage: `python tools/container_check.py` as root on Linux; `make container-check` runs it. Each
stage is an overlay over the file system of this machine. The Python of this machine replaces that
of the base image. The server runs as in deploy/kubernetes.yaml: an unprivileged user without
capabilities, a read-only root, its own process and network namespaces, and only the volumes
writable. Exits with 1 and an error text if something is wrong.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import yaml

_PROJECT = Path(__file__).parents[1]
_DEPLOY = _PROJECT / "deploy"
_INSIDE = "PODIUM_CHECK_INSIDE"
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PYTHON = Path(sys.base_prefix)
_START_SECONDS = 120.0
_STEP_SECONDS = 400
_SERVER_FAILED = 3

Instruction = tuple[str, str]


class Stage(NamedTuple):
    """A stage of the Dockerfile: its file system and its environment."""

    root: Path
    environment: dict[str, str]
    folder: str = "/"


def instructions(text: str) -> Iterator[Instruction]:
    """Yields the instructions of a Dockerfile, each with its arguments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, arguments = line.strip().partition(" ")
            yield name, arguments.strip()


def _run(*command: str | Path, **options: Any) -> str:
    """Runs a command, and returns its output. Exits with 1 if the command fails."""
    ended = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_STEP_SECONDS,
        **options,
    )
    if ended.returncode:
        line = " ".join(map(str, command))
        _fail(f"{line} exited with {ended.returncode}:\n{ended.stdout}")
    return str(ended.stdout)


def _fail(text: str) -> None:
    sys.exit(f"container-check: {text}")


def _new_root(folder: Path) -> Path:
    """Returns a writable copy of this machine's file system, as an overlay."""
    upper, work, root = (folder / name for name in ("upper", "work", "root"))
    for each in (upper, work, root):
        each.mkdir(parents=True)
    layers = f"lowerdir=/,upperdir={upper},workdir={work}"
    _run("mount", "-t", "overlay", "overlay", "-o", layers, root)
    for name in ("/dev", "/proc", "/etc/resolv.conf", "/etc/hosts"):
        _run("mount", "--rbind", name, f"{root}{name}")
    # The user of the container has to reach the Python of this machine.
    for parent in [_PYTHON, *_PYTHON.parents][:-1]:
        inside = Path(f"{root}{parent}")
        inside.chmod(inside.stat().st_mode | 0o055)
    return root


def _build(text: str, scratch: Path) -> tuple[Stage, list[Instruction]]:
    """Builds the stages of a Dockerfile.

    Returns the last stage, and the instructions of this stage.
    """
    stages: dict[str, Stage] = {}
    stage, last = Stage(Path(), {}), list[Instruction]()
    for name, arguments in instructions(text):
        if name == "FROM":
            label = arguments.partition(" AS ")[2] or str(len(stages))
            path = f"{_PYTHON}/bin:{_SYSTEM_PATH}"
            environment = {
                **{key: value for key, value in os.environ.items() if key.startswith("PIP_")},
                **{key: os.environ[key] for key in ("HOME",) if key in os.environ},
                "PATH": path,
            }
            stages[label] = stage = Stage(_new_root(scratch / label), environment)
            last = []
        elif name == "RUN":
            _in_stage(stage, ["sh", "-c", arguments])
        elif name == "COPY":
            _copy(shlex.split(arguments), stage, stages)
        elif name == "ENV":
            for part in shlex.split(arguments):
                key, _, value = part.partition("=")
                stage.environment[key] = value.replace("$PATH", stage.environment["PATH"])
        elif name == "WORKDIR":
            stage = stage._replace(folder=arguments)
            stages[label] = stage
            Path(f"{stage.root}{arguments}").mkdir(parents=True, exist_ok=True)
        last.append((name, arguments))
    return stage, last


def _in_stage(stage: Stage, command: Sequence[str]) -> str:
    inside = ["sh", "-c", 'cd "$0" && exec "$@"', stage.folder, *command]
    return _run("chroot", stage.root, *inside, env=stage.environment)


def _copy(parts: list[str], stage: Stage, stages: Mapping[str, Stage]) -> None:
    """Copies files from the repository or from another stage, as COPY does."""
    source = _PROJECT
    if parts[0].startswith("--from="):
        source = stages[parts.pop(0).removeprefix("--from=")].root
    *names, target = parts
    place = stage.root / os.path.join(stage.folder, target).lstrip("/")  # noqa: PTH118 - "/" wins
    for name in names:
        origin = source / name.lstrip("/")
        if origin.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(origin, place, symlinks=True, ignore=ignored, dirs_exist_ok=True)
        else:
            folder = place if target.endswith("/") or len(names) > 1 else place.parent
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(origin, folder / origin.name if folder == place else place)


class Container:
    """The server in the last stage, with the settings of the Kubernetes manifest."""

    def __init__(self, stage: Stage, last: list[Instruction], scratch: Path) -> None:
        manifest = next(yaml.safe_load_all((_DEPLOY / "kubernetes.yaml").read_text("utf-8")))
        [pod] = [manifest["spec"]["template"]["spec"]]
        [container] = pod["containers"]
        self._root = stage.root
        self._environment = stage.environment | {
            each["name"]: each["value"] for each in container["env"]
        }
        self._folder = stage.folder
        given = dict(last)
        self._user = given["USER"].split(":")
        self._entry = json.loads(given["ENTRYPOINT"])
        self._health = json.loads(given["HEALTHCHECK"].partition(" CMD ")[2])
        self._arguments = container["args"]
        if container["startupProbe"]["exec"]["command"] != self._health:
            _fail("the probes of the manifest differ from the health check of the image")
        uid = pod["securityContext"]["runAsUser"]
        for mount in container["volumeMounts"]:
            place = f"{self._root}{mount['mountPath']}"
            Path(place).mkdir(parents=True, exist_ok=True)
            _run("mount", "-t", "tmpfs", "-o", f"mode=0700,uid={uid},gid={uid}", "tmpfs", place)
        tls = self._root / "etc" / "podium" / "tls"
        _make_certificate(tls, uid)
        _run("mount", "-o", "remount,ro", tls)
        _run("mount", "-o", "remount,ro", self._root)
        self._log = (scratch / "log").open("w+")

    def command(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the container, as `docker exec` does."""
        return subprocess.run(
            self._inside(*command),
            env=self._environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def _inside(self, *command: str) -> list[str]:
        uid, gid = self._user
        confined = f"setpriv --reuid={uid} --regid={gid} --clear-groups --no-new-privs "
        confined += "--bounding-set=-all --inh-caps=-all"
        shell = ["sh", "-c", 'cd "$0" && exec "$@"', self._folder]
        return ["chroot", str(self._root), *shell, *confined.split(), *command]

    def start(self) -> None:
        """Starts the server, and waits until the health check of the image succeeds."""
        spaces = ["unshare", "--net", "--pid", "--fork", "--kill-child"]
        self._process = subprocess.Popen(
            [*spaces, *self._inside(*self._entry, *self._arguments)],
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
        )
        ends = time.monotonic() + _START_SECONDS
        while self.command(*self._health).returncode:
            if self._process.poll() is not None or time.monotonic() > ends:
                self._log.seek(0)
                _fail(f"the server does not start:\n{self._log.read()}")
            time.sleep(0.2)

    def stop(self, number: signal.Signals) -> int:
        """Sends a signal to the server, process 1 of its namespace.

        Returns the server's exit code.
        """
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text()
        os.kill(int(children), number)
        return self._process.wait(60)

    def is_healthy(self) -> bool:
        """Returns whether the health check of the image succeeds."""
        return self.command(*self._health).returncode == 0


def _make_certificate(folder: Path, uid: int) -> None:
    name = "/CN=podium"
    key = folder / "tls.key"
    kind = shlex.split("-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2")
    _run(
        *("openssl", "req", "-x509", *kind, "-subj", name),
        *("-keyout", key, "-out", folder / "tls.crt"),
    )
    for file in folder.iterdir():
        os.chown(file, uid, uid)


def _expect(ended: subprocess.CompletedProcess[str], code: int) -> str:
    if ended.returncode != code:
        line = shlex.join(ended.args[-4:])
        _fail(f"{line} exited with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def _try(container: Container) -> None:
    """Checks that only the volumes are writable, that calls need tokens, and that restarts work."""
    for folder, code in (("", 1), ("/usr/local/podium", 1), ("/tmp", 1), ("/var/lib/podium", 0)):  # noqa: S108 - it must fail
        _expect(container.command("touch", f"{folder}/x"), code)
    container.start()
    created = container.command("podium", "token", "create", "admins", "--role", "admin")
    token = _expect(created, 0).strip()
    _expect(container.command("podium", "experiments"), _SERVER_FAILED)
    declare = ("podium", "declare", "sweep", "--success-metric", "loss")
    _expect(container.command(*declare, PODIUM_TOKEN=token), 0)
    for number in (signal.SIGTERM, signal.SIGKILL):
        ended = container.stop(number)
        if number == signal.SIGTERM and ended:
            _fail(f"after SIGTERM the server exited with {ended}")
        if container.is_healthy():
            _fail("the health check succeeds without a server")
        container.start()
        listed = _expect(container.command("podium", "experiments", PODIUM_TOKEN=token), 0)
        if "sweep" not in listed:
            _fail(f"after {number.name} the experiment is gone")
    container.stop(signal.SIGTERM)


def _main() -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        print("container-check: skipped, since it needs root of Linux and the command unshare")
        return
    if _INSIDE not in os.environ:
        again = [sys.executable, __file__]
        spaces = ["unshare", "--mount", "--propagation", "private"]
        sys.exit(subprocess.call([*spaces, *again], env=os.environ | {_INSIDE: "1"}))
    scratch = Path(mkdtemp(prefix="podium-container-"))
    try:
        # An overlay cannot be stored on another overlay, such as the disk of a container.
        _run("mount", "-t", "tmpfs", "tmpfs", scratch)
        stage, last = _build((_DEPLOY / "Dockerfile").read_text("utf-8"), scratch)
        size = _run("du", "-sm", f"{stage.root}/usr/local/podium").split()[0]
        _try(Container(stage, last, scratch))
    finally:
        # The mounts end with their namespace, when this process has ended.
        _run("umount", "--lazy", scratch)
        scratch.rmdir()
    print(
        f"container-check: builds, and works with a read-only root; {size} MB over the base image"
    )


if __name__ == "__main__":
    _main()
