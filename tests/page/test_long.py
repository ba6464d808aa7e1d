"""Test of a page that is open for a day."""

from collections.abc import Iterator
from pathlib import Path

import podium
import pytest

from tests.page.browser import Browser
from tests.page.conftest import Server
from tests.page.cutting_proxy import CuttingProxy

_CLOCK = (Path(__file__).parent / "clock.js").read_text(encoding="utf-8")
_CUTS = 30
_DAY_MS = 24 * 3_600_000
_ADVANCE = """
const [ms, steps, done] = arguments;
window.advance(ms, steps).then(done);
"""
_MOST_HEAP = 100_000_000


@pytest.fixture
def proxy(server: Server) -> Iterator[CuttingProxy]:
    """Yields a proxy in front of the server, which can cut connections."""
    proxy = CuttingProxy(server.url)
    yield proxy
    proxy.close()


@pytest.fixture
def clock(browser: Browser) -> Iterator[None]:
    """Gives the page a clock that the test advances."""
    driver = browser.driver
    add = "Page.addScriptToEvaluateOnNewDocument"
    script = driver.execute_cdp_cmd(add, {"source": _CLOCK})
    yield
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


def _heap(browser: Browser) -> int:
    browser.driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
    return int(browser.driver.execute_cdp_cmd("Runtime.getHeapUsage", {})["usedSize"])


def _shown(browser: Browser) -> list[list[str]]:
    """Returns the texts around the table, and its rows without the times."""
    about = browser.run(
        "return [...document.querySelectorAll('.verdict, .told')].map((p) => p.innerText)"
    )
    return [about, *(row[:-1] for row in browser.rows())]


@pytest.mark.usefixtures("clock")
def test_a_day_with_cuts(server: Server, browser: Browser, proxy: CuttingProxy) -> None:
    """After 24 h and 30 cuts, the page shows the same as a page that was just opened.

    It uses at most 100 MB of memory for JavaScript.
    """
    browser.ignore("ERR_", "Failed to load")
    with podium.Client(server.address) as client:
        client.experiment("day").declare(success_metric="m")
        events = [
            podium.events.arm_recorded(
                podium.ArmResult(
                    f"arm_{n}", podium.RunConfig(f"arm_{n}"), "completed", metrics={"m": 0.0}
                )
            )
            for n in range(300)
        ]
        client.record("day", events)
        browser.open(proxy.url, experiment="day")
        browser.sees("300 arms", "connected")
        for number in range(_CUTS):
            browser.wait(lambda: proxy.cut() > 0, "a connection to cut")
            config = podium.RunConfig(f"new_{number}")
            arm = podium.ArmResult(config.name, config, "completed", metrics={"m": number + 1.0})
            changes = [
                podium.events.metrics_recorded(f"arm_{n}", {"m": number / (n + 2)})
                for n in range(number, 300, 7)
            ]
            client.record("day", [podium.events.arm_recorded(arm), *changes])
            browser.driver.execute_async_script(_ADVANCE, _DAY_MS / _CUTS, 8)
            browser.sees(f"Best arm: new_{number} with {number + 1}", f"{301 + number} arms")
    browser.wait(lambda: "connection lost" not in browser.text(), "the connection is mended")
    heap = _heap(browser)
    assert heap <= _MOST_HEAP
    after = _shown(browser)
    browser.open(server.url, experiment="day")
    browser.wait(lambda: _shown(browser) == after, "a fresh page shows the same")
