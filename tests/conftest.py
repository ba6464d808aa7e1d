"""Settings for every test, so that it does not matter how and where pytest was started."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from unittest.mock import Mock

import pytest
from podium._recorder import launch_sender
from podium_server.testing import RunningServer, server

from tests import stores, zygote

_SLOW_SECONDS = 1800
_NEW_OBJECTS = 200_000
_MEMORY = "/dev/shm"  # noqa: S108 - only the user can list the folder that is made there
_MEMORY_BYTES = 4 << 30
_VARIABLES = (
    "RANK",
    "OMPI_COMM_WORLD_RANK",
    "PMI_RANK",
    "SLURM_PROCID",
    *(name for name in os.environ if name.startswith("PODIUM_")),
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the options for the store and the front that servers of tests use."""
    parser.addoption("--store", choices=stores.KINDS, default=stores.KINDS[0])
    parser.addoption("--front", choices=("grpcio", "native"), default="grpcio")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Sets the kind of store and the place of temporary files. Disables garbage collection."""
    stores.set_kind(config.getoption("--store"))
    if "TMPDIR" not in os.environ and _has_memory():
        # To keep the files of failed tests, set TMPDIR.
        folder = tempfile.mkdtemp(dir=_MEMORY)
        Path(folder).chmod(0o711)  # PostgreSQL runs as another user
        os.environ["TMPDIR"] = tempfile.tempdir = folder
        # Without the name of the user: the path of a Unix socket has at most 107 bytes.
        config.option.basetemp = config.option.basetemp or f"{folder}/tests"
        config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))
    gc.disable()  # until all tests are collected, because those stay


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Gives slow tests more time than the limit in pyproject.toml, and puts heavy tests first."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_SLOW_SECONDS))
    items.sort(key=lambda item: item.get_closest_marker("heavy") is None)


def pytest_collection_finish() -> None:
    """Excludes the collected tests from garbage collections, and makes these less frequent."""
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    gc.enable()


def _has_memory() -> bool:
    """Returns whether temporary files can be in memory, where a slow disk does not delay tests."""
    if not (sys.platform == "linux" and os.access(_MEMORY, os.W_OK | os.X_OK)):
        return False
    found = os.statvfs(_MEMORY)
    may_run = not found.f_flag & os.ST_NOEXEC
    return may_run and found.f_bavail * found.f_frsize >= _MEMORY_BYTES


@pytest.fixture(scope="session", autouse=True)
def _restore_signals() -> None:
    """Restores the default action of signals that pytest was started to ignore.

    Otherwise, each process that pytest starts would ignore them, too. A shell without job control
    ignores SIGINT and SIGQUIT in its background jobs. `nohup` ignores SIGHUP.
    """
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGQUIT, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session", autouse=True)
def _environment(request: pytest.FixtureRequest) -> Iterator[None]:
    """Sets the variables that decide where and how Podium records or serves."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _VARIABLES:
            patch.delenv(name, raising=False)
        # Each attempt would run git.
        patch.setenv("PODIUM_PROVENANCE", "off")
        patch.setenv("PODIUM_SERVE_FRONT", request.config.getoption("--front"))
        # Processes that tests start import `tests` from here.
        patch.chdir(request.config.rootpath)
        yield


@pytest.fixture(scope="session", autouse=True)
def _processes(_environment: None) -> Iterator[None]:
    """Makes servers and senders start quickly, and kills those that still run after all tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in zygote.MARK.items():
            patch.setenv(name, value)
        patch.setattr(RunningServer, "_start_process", staticmethod(zygote.start))
        patch.setattr(server, "_new_store", stores.store_url)
        patch.setattr(launch_sender, "_run_process", zygote.run)
        yield
        zygote.stop()
    # A recorder that ends with this process must not start a sender: nothing would end it.
    launch_sender._run_process = Mock()
