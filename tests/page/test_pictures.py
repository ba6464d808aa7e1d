"""Tests of the looks of the views: pictures of them are compared with small references.

The references are `pictures/NAME.png`: 80 x 56 cells, each the mean colour of 16 x 16 pixels. All
text has the same font, because machines have different ones. Of the 4,480 cells, 20 may differ. On
the machine that made the references, none differs, even with another hinting of the font. If a
distance changes by a pixel, or text gets another colour, 80 or more cells differ. These tests do
not detect changes of single small marks.

After a change of the looks, delete the pictures that differ, run the tests until they pass, and
look at the new pictures.
"""

import base64
from collections.abc import Iterator
from pathlib import Path

import podium
import pytest

from tests.page.browser import Browser
from tests.page.conftest import Server
from tests.page.data import UGLY, record_sweep, record_ugly

_HERE = Path(__file__).parent
_PICTURES = _HERE / "pictures"
_COMPARE = (_HERE / "pictures.js").read_text(encoding="utf-8")
_MOST_DIFFERING = 20
_CELLS = 80 * 56
_FONT = """
const style = document.createElement("style");
style.textContent = `
    :root, * { font-family: 'DejaVu Sans Mono' !important; }
    * { animation: none !important; line-height: 20px !important; }
    time, .connection { visibility: hidden; }
`;
document.head.append(style);
"""
_HAS_FONT = """
const context = document.createElement("canvas").getContext("2d");
const width = (font) => (context.font = `40px ${font}`, context.measureText("mmmmmiiiii").width);
return width("'DejaVu Sans Mono', serif") === width("'DejaVu Sans Mono', sans-serif");
"""
_SWEEP: dict[str, dict[str, str | list[str]]] = {
    "groups": {},
    "arms": {"by": "arm", "status": ["completed", "failed"], "column": "metric:loss"},
    "curves": {"view": "curves"},
    "scatter": {"view": "scatter"},
    "arm": {"arm": "wide_0"},
}
_UGLY = {
    "ugly_arms": {"by": "arm"},
    "ugly_curves": {"view": "curves"},
    "ugly_arm": {"arm": UGLY[5]},
}


def _compare(browser: Browser, name: str) -> None:
    """Compares the page with a reference, or makes the reference if there is none."""
    browser.wait(browser.rows, "a table")
    browser.run(_FONT)
    browser.wait(lambda: "Loading" not in browser.text(), "everything is loaded")
    reference = _PICTURES / f"{name}.png"
    known = base64.b64encode(reference.read_bytes()).decode() if reference.exists() else ""
    differing = _CELLS

    def is_equal() -> bool:
        nonlocal differing
        shot = browser.driver.get_screenshot_as_base64()
        differing, picture = browser.driver.execute_async_script(_COMPARE, shot, known)
        (_PICTURES / f"{name}.new.png").write_bytes(base64.b64decode(picture))
        return not known or differing <= _MOST_DIFFERING

    try:
        browser.wait(is_equal, f"the picture {name} differs")
    except AssertionError:
        pytest.fail(f"{differing} of {_CELLS} cells of {name}.new.png differ from {name}.png")
    new = _PICTURES / f"{name}.new.png"
    if known:
        new.unlink()
    else:
        new.rename(reference)
        pytest.fail(f"there was no reference: look at {reference}, and commit it")


@pytest.fixture
def unprotected(browser: Browser) -> Iterator[Browser]:
    """Yields the browser without the page's security policy, so that a test can change the font."""
    browser.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": True})
    browser.resize(1280, 896)
    if not browser.run(_HAS_FONT):
        pytest.skip("the references have the font DejaVu Sans Mono (Debian: fonts-dejavu-core)")
    yield browser
    browser.driver.execute_cdp_cmd("Page.setBypassCSP", {"enabled": False})


@pytest.mark.parametrize("is_dark", [False, True])
def test_pictures_of_a_sweep(server: Server, unprotected: Browser, is_dark: bool) -> None:
    """Each view of a sweep looks as in its reference, in both themes."""
    with podium.Client(server.address) as client:
        record_sweep(client)
    unprotected.set_dark(is_dark)
    for name, view in _SWEEP.items():
        unprotected.open(server.url, experiment="nlp/sweep", **view)
        _compare(unprotected, f"{name}_{'dark' if is_dark else 'light'}")


def test_pictures_of_ugly_names(server: Server, unprotected: Browser) -> None:
    """Names with markup, with 256 letters and from right to left look as in the references."""
    with podium.Client(server.address) as client:
        record_ugly(client)
        [experiment] = [each.name for each in client.experiments()]
    for name, view in _UGLY.items():
        unprotected.open(server.url, experiment=experiment, **view)
        _compare(unprotected, name)
