"""Measures the page, and prints a line of JSON for each figure: `make page-figures`."""

import gzip
import json
import statistics
import tempfile
import time
from pathlib import Path

import podium
from podium_server.serve.settings import Settings
from podium_server.web import page_files

from tests.page.browser import Browser
from tests.page.conftest import Server, start_browser

_ARMS = (1_000, 100_000)
_COMMITS = 40
_SHOWN = """
const [text, done] = arguments;
const isShown = () => document.querySelectorAll("tbody tr").length > 10
    && document.body.innerText.includes(text);
const look = () => isShown()
    ? requestAnimationFrame(() => done(performance.now())) : setTimeout(look, 5);
look();
"""
_SEEN = """
const done = arguments[arguments.length - 1];
const look = () => document.querySelector(".verdict").innerText.includes(arguments[0])
    ? requestAnimationFrame(() => done(Date.now())) : setTimeout(look, 2);
look();
"""
_BYTES = """
return performance.getEntriesByType("resource").reduce((sum, each) => sum + each.transferSize, 0);
"""
_REDRAWN = """
const done = arguments[0];
const start = performance.now();
[...document.querySelectorAll("button")]
    .find((each) => each.getAttribute("aria-pressed") === "false").click();
requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
"""


def main() -> None:
    """Prints the figures."""
    files = page_files()
    script = files["/page.js"].content
    _print("scripts, bytes", len(script))
    _print("scripts compressed, bytes", len(gzip.compress(script)))
    with tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder) / 'podium.db'}"
        server = Server(Settings(listen=("127.0.0.1:0",), http=("127.0.0.1:0",), store=store))
        try:
            with podium.Client(server.address) as client, start_browser() as driver:
                browser = Browser(driver)
                for arms in _ARMS:
                    _record(client, arms)
                    _measure_arms(browser, server.url, arms)
                _measure_commits(browser, server.url, client)
                _measure_curves(browser, server.url, client)
        finally:
            server.stop()


def _record(client: podium.Client, arms: int) -> None:
    name = f"arms_{arms}"
    client.experiment(name).declare(success_metric="m")
    for first in range(0, arms, 1_000):
        events = [
            podium.events.arm_recorded(
                podium.ArmResult(
                    f"arm_{n}",
                    podium.RunConfig(f"arm_{n}", seed=n),
                    "completed",
                    metrics={"m": -float(n)},
                )
            )
            for n in range(first, first + 1_000)
        ]
        client.record(name, events)


def _measure_arms(browser: Browser, url: str, arms: int) -> None:
    times = []
    for _ in range(5):
        browser.open(url, experiment=f"arms_{arms}")
        times.append(browser.driver.execute_async_script(_SHOWN, f"{arms:,} arms"))
    _print(f"{arms:,} arms visible, ms (median of 5)", round(statistics.median(times)))


def _measure_commits(browser: Browser, url: str, client: podium.Client) -> None:
    browser.open(url, experiment="arms_1000")
    browser.sees("1,000 arms", "connected")
    arm, times, sizes = client.arm("arms_1000", "arm_500"), [], []
    browser.run("performance.setResourceTimingBufferSize(100000)")
    for number in range(1, _COMMITS + 1):
        before = browser.run(_BYTES)
        begin = time.time()
        arm.log({"m": float(number)})
        seen = browser.driver.execute_async_script(_SEEN, f"arm_500 with {number}")
        times.append(1000 * (seen / 1000 - begin))
        time.sleep(0.5)
        sizes.append(browser.run(_BYTES) - before)
    _print("commit on screen, ms (median)", round(statistics.median(times)))
    _print("commit on screen, ms (slowest of 40)", round(max(times)))
    _print("unary responses after a commit, bytes (median)", round(statistics.median(sizes)))


def _measure_curves(browser: Browser, url: str, client: podium.Client) -> None:
    client.experiment("curves").declare(success_metric="loss")
    for arm in range(50):
        name = f"a{arm}"
        client.experiment("curves").record_arm(
            podium.ArmResult(name, podium.RunConfig(name), "completed")
        )
        points = [
            podium.events.metrics_recorded(name, {"loss": 1 / (step + arm + 1)}, step=step)
            for step in range(2_000)
        ]
        for first in (0, 1_000):
            client.record("curves", points[first : first + 1_000])
    browser.open(url, experiment="curves", view="curves", pick=[f"a{arm}" for arm in range(50)])
    browser.sees("a49")
    browser.wait(lambda: len(browser.rows()) == 50, "50 lines")
    times = [browser.driver.execute_async_script(_REDRAWN) for _ in range(5)]
    _print("50 x 2,000 points drawn again, ms (median of 5)", round(statistics.median(times)))


def _print(figure: str, value: object) -> None:
    print(json.dumps({"figure": figure, "value": value}), flush=True)  # noqa: T201 - the output of the command


if __name__ == "__main__":
    main()
