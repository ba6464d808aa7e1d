"""Tests of the page: attacks, window sizes, accessibility, lost connections and its token."""

from collections.abc import Callable
from pathlib import Path

import podium
import pytest
from podium_server.serve import tokens

from tests.page.browser import Browser
from tests.page.conftest import Server
from tests.page.data import UGLY, record_sweep, record_ugly

_ATTACKS = "return [window.attacked, document.querySelectorAll('main img, main script').length]"


def _views(experiment: str, arm: str) -> list[dict[str, str | list[str]]]:
    return [
        {},
        {"experiment": experiment},
        {"experiment": experiment, "by": "arm"},
        {"experiment": experiment, "view": "curves"},
        {"experiment": experiment, "view": "scatter"},
        {"experiment": experiment, "arm": arm},
    ]


def test_no_text_is_markup(server: Server, browser: Browser) -> None:
    """Texts that attack the page are shown as they are, in each view, and none of them runs."""
    with podium.Client(server.address) as client:
        record_ugly(client)
        [experiment] = [each.name for each in client.experiments()]
    for arm in UGLY:
        browser.open(server.url, experiment=experiment, arm=arm)
        browser.sees("Evals (4)", "Config")
        assert browser.run(_ATTACKS) == [None, 0]
    for view in _views(experiment, UGLY[0]):
        browser.open(server.url, **view)
        browser.sees("<img src=x onerror=window.attacked=1>")
        browser.wait(browser.rows, "a table")
        assert browser.run(_ATTACKS) == [None, 0]
    browser.open(server.url, experiment=experiment, by="arm")
    browser.sees("⟨U+202E⟩evil")
    links = "return [...document.querySelectorAll('main a')].map((each) => each.protocol)"
    browser.open(server.url, experiment=experiment, arm=UGLY[0])
    browser.sees("Artifacts")
    assert set(browser.run(links)) == {"http:", "https:"}


def test_the_policy_stops_scripts(server: Server, browser: Browser) -> None:
    """Even a script that is inserted into the page does not run: the page's policy blocks it."""
    browser.ignore("Content Security Policy", "TrustedScript")
    browser.open(server.url)
    browser.sees("No experiment has been recorded yet.")
    attack = """
        const script = document.createElement("script");
        try {
            script.textContent = "window.attacked = 1";
            document.body.append(script);
        } catch { }
        return window.attacked;
    """
    assert browser.run(attack) is None


def test_sizes(server: Server, browser: Browser) -> None:
    """In windows that are 320 and 3,840 pixels wide, no view is wider than the window."""
    with podium.Client(server.address) as client:
        record_ugly(client)
        [experiment] = [each.name for each in client.experiments()]
    for width, height in ((320, 640), (3840, 2160)):
        browser.resize(width, height)
        for view in _views(experiment, UGLY[5]):
            browser.open(server.url, **view)
            browser.wait(browser.rows, "a table")
            assert browser.run("return document.documentElement.scrollWidth") <= width, view


@pytest.mark.parametrize("is_dark", [False, True])
def test_axe(server: Server, browser: Browser, is_dark: bool) -> None:
    """In both themes, axe finds no accessibility problem in any view."""
    with podium.Client(server.address) as client:
        record_sweep(client)
    browser.set_dark(is_dark)
    for view in [*_views("nlp/sweep", "wide_0"), *_views("nlp/sweep", "small_2")[-1:]]:
        browser.open(server.url, **view)
        browser.wait(browser.rows, "a table")
        assert browser.violations() == []


def test_a_change_appears_by_itself(server: Server, browser: Browser) -> None:
    """A new arm, a new score and a deletion are shown without a reload."""
    with podium.Client(server.address) as client:
        record_sweep(client)
        browser.open(server.url, experiment="nlp/sweep", by="arm")
        browser.sees("Best arm: wide_1", "connected")
        browser.run("window.same = true")
        experiment = client.experiment("nlp/sweep")
        config = podium.RunConfig("huge_0")
        evals = [podium.EvalResult("test", metrics={"acc": 0.99}, tags=["test"])]
        experiment.record_arm(podium.ArmResult("huge_0", config, "completed", evals=evals))
        browser.sees("Best arm: huge_0 with 0.9900")
        experiment.arm("wide_0").log_eval("test", {"acc": 0.995}, tags=["test"])
        browser.sees("Best arm: wide_0 with 0.9950")
        experiment.arm("huge_0").delete()
        browser.wait(lambda: "huge_0" not in browser.text(), "the deleted arm is gone")
    assert browser.run("return window.same") is True


def test_a_lost_connection_mends_itself(server: Server, browser: Browser) -> None:
    """While the server is stopped, the page shows `connection lost`.

    After the server has started again, the page shows the change that it missed.
    """
    browser.ignore("ERR_", "Failed to load")
    with podium.Client(server.address) as client:
        record_sweep(client)
    browser.open(server.url, experiment="nlp/sweep", by="arm")
    browser.sees("Best arm: wide_1", "connected")
    for number in range(3):
        server.stop()
        browser.sees("connection lost")
        server.start()
        with podium.Client(server.address) as client:
            client.arm("nlp/sweep", "wide_0").log_eval(
                "test", {"acc": 0.95 + number / 100}, tags=["test"]
            )
        browser.sees(f"Best arm: wide_0 with {0.95 + number / 100:.4f}")
        browser.wait(lambda: "connection lost" not in browser.text(), "the connection is mended")


def test_a_token_is_asked_for_once(
    serve: Callable[..., Server], browser: Browser, tmp_path: Path
) -> None:
    """A wrong token is rejected with a reason. A valid one is kept where no script can read it.

    The page does not ask again after a reload, but does after signing out.
    """
    browser.ignore("401")
    store = f"sqlite:///{tmp_path / 'podium.db'}"
    _, token = tokens.create(store, "reader", "reader", ("nlp",), None)
    server = serve(auth="tokens")
    browser.open(server.url)
    browser.sees("This server requires a token.")
    assert browser.violations() == []
    browser.type("input[name=token]", "pdm_wrong")
    browser.click("Show results")
    browser.wait(lambda: browser.run("return document.querySelector('.problem')"), "the reason")
    browser.type("input[name=token]", token)
    browser.click("Show results")
    browser.sees("No experiment has been recorded yet.")
    kept = "return [document.cookie, JSON.stringify(localStorage), sessionStorage.length]"
    assert browser.run(kept) == ["", '{"podium.signed_in":"yes"}', 0]
    browser.driver.refresh()
    browser.sees("No experiment has been recorded yet.")
    browser.click("Sign out")
    browser.sees("This server requires a token.")
