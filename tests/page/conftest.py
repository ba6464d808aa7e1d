"""A browser for all tests of the page, and servers in this process."""

import asyncio
import dataclasses
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from podium_server.serve.server import running
from podium_server.serve.settings import Settings
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from tests.page.browser import Browser

_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # containers have no user namespaces
    "--disable-dev-shm-usage",
    "--window-size=1280,900",
    "--font-render-hinting=none",  # the same letters on every machine
)


class Server:
    """A server in a thread of its own, which can stop and start again at the same addresses."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.start()

    def start(self) -> None:
        """Starts the server."""
        started: Future[list[str]] = Future()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)))
        self._thread.start()
        self.address, self.url = started.result(240)
        self._settings = dataclasses.replace(
            self._settings, listen=(self.address,), http=(self.url.removeprefix("http://"),)
        )

    async def _serve(self, started: "Future[list[str]]") -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        try:
            async with running(self._settings, asyncio.Event()) as addresses:
                started.set_result(list(addresses))
                await self._end.wait()
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise

    def stop(self) -> None:
        """Stops the server."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Yields a function that starts servers with the test's store. They stop when the test ends."""
    servers: list[Server] = []

    def start(**settings: Any) -> Server:
        store = f"sqlite:///{tmp_path / 'podium.db'}"
        given = Settings(listen=("127.0.0.1:0",), http=("127.0.0.1:0",), store=store)
        quick = dataclasses.replace(given, grace_seconds=0.1, **settings)
        servers.append(Server(quick))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    """Returns a server that requires no tokens."""
    return serve()


@contextmanager
def start_browser() -> Iterator[webdriver.Chrome]:
    """Starts the browser of this machine, without a window."""
    chromium, chromedriver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or chromedriver is None:
        pytest.fail("install chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(chromedriver))
    driver.set_script_timeout(120)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="session")
def driver() -> Iterator[webdriver.Chrome]:
    """Yields one browser for all tests."""
    with start_browser() as driver:
        yield driver


@pytest.fixture
def browser(driver: webdriver.Chrome) -> Iterator[Browser]:
    """Yields the browser without the cookies and logs of earlier tests.

    At the end of the test, fails if the page has logged an error.
    """
    driver.get("about:blank")
    driver.delete_all_cookies()
    driver.get_log("browser")
    browser = Browser(driver)
    browser.resize(1280, 900)
    browser.set_dark(False)
    yield browser
    assert browser.errors() == []
