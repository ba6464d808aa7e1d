"""The page in a browser: what a user does in it, and what it shows."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from selenium import webdriver

__all__ = ["Browser"]

_SECONDS = 120
_AXE = Path(__file__).parents[2] / "page" / "node_modules" / "axe-core" / "axe.min.js"
_RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document).then((found) => done(found.violations.map(
    (each) => each.id + ": " + each.nodes.map((node) => node.html).join(" "))));
"""
_TEXT = "return document.body.innerText.replaceAll('\\u00a0', ' ')"
_ROWS = """
return [...document.querySelectorAll(arguments[0] + " tbody tr:not(.space)")]
    .map((row) => [...row.cells].map((cell) => cell.innerText.trim()));
"""
_CATCH = """
window.saved = [];
const create = window.createAddress ??= URL.createObjectURL;
URL.createObjectURL = (blob) => create.call(URL, (window.content = blob));
HTMLAnchorElement.prototype.click = function () { window.saved.push(window.content); };
"""
_SAVED = """
const [[blob], done] = [window.saved, arguments[0]];
if (blob.type !== "image/png") blob.text().then(done);
else createImageBitmap(blob).then(({ width, height }) => done(`${blob.type} ${width}x${height}`));
"""


class Browser:
    """The page in a browser. Each wait has a limit of two minutes: machines may be busy."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver
        self._ignored: tuple[str, ...] = ()

    def open(self, url: str, **view: str | list[str]) -> None:
        """Opens a view, in a fresh document."""
        self.driver.get("about:blank")
        self.driver.get(f"{url}/#{urlencode(view, doseq=True)}")

    def run(self, script: str, *arguments: Any) -> Any:
        """Returns what a script in the page returns."""
        return self.driver.execute_script(script, *arguments)

    def wait(self, condition: Callable[[], Any], what: str) -> Any:
        """Waits until `condition` returns a true value. Returns this value."""
        end = time.monotonic() + _SECONDS
        while not (found := condition()):
            assert time.monotonic() < end, f"{what}; the page shows: {self.text()}"
            time.sleep(0.05)
        return found

    def text(self) -> str:
        """Returns the text of the page."""
        return str(self.run(_TEXT))

    def sees(self, *texts: str) -> None:
        """Waits until the page shows each of the given texts."""
        for text in texts:
            self.wait(partial(self._has, text), f"no {text!r}")

    def _has(self, text: str) -> bool:
        return text in self.text()

    def rows(self, where: str = "main") -> list[list[str]]:
        """Returns the texts of the cells of the table in a part of the page."""
        return list(self.run(_ROWS, where))

    def click(self, text: str) -> None:
        """Clicks on the first button or link whose text begins with `text`."""
        script = """
            const found = [...document.querySelectorAll("button, a, summary")]
                .find((each) => each.innerText.trim().startsWith(arguments[0]));
            found?.click();
            return found !== undefined;
        """
        self.wait(lambda: self.run(script, text), f"nothing to click on with {text!r}")

    def type(self, selector: str, text: str) -> None:
        """Replaces the text of a field, as a user does who types it."""
        script = """
            const field = document.querySelector(arguments[0]);
            if (field === null) return false;
            field.value = arguments[1];
            field.dispatchEvent(new Event("input", { bubbles: true }));
            field.dispatchEvent(new Event("change", { bubbles: true }));
            return true;
        """
        self.wait(lambda: self.run(script, selector, text), f"no {selector}")

    def save(self, kind: str) -> str:
        """Saves the first chart as CSV, SVG or PNG. Returns the text, or the type of a PNG."""
        self.run(_CATCH)
        self.click_label(f"Save as {kind}")
        self.wait(
            lambda: self.run("return window.saved.length") > 0, f"nothing was saved as {kind}"
        )
        return str(self.driver.execute_async_script(_SAVED))

    def click_label(self, label: str) -> None:
        """Clicks on the control with an accessible name."""
        script = (
            "const found = document.querySelector(`[aria-label=${JSON.stringify(arguments[0])}]`);"
        )
        script += "found?.click(); return found !== null;"
        self.wait(lambda: self.run(script, label), f"nothing is labelled {label!r}")

    def resize(self, width: int, height: int) -> None:
        """Changes the size of the page, even to sizes that a window cannot have."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def set_dark(self, is_dark: bool) -> None:
        """Sets whether the user's system asks pages for a dark theme."""
        theme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [theme]})

    def violations(self) -> list[str]:
        """Returns the accessibility problems that axe finds in the page."""
        self.run(_AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(_RUN_AXE)
        return list(found)

    def ignore(self, *texts: str) -> None:
        """Makes `errors` leave out errors that contain one of the given texts."""
        self._ignored = texts

    def errors(self) -> list[str]:
        """Returns the errors that the page has logged and that are not ignored.

        A blocked script is such an error, for example.
        """
        logged = self.driver.get_log("browser")
        messages = [each["message"] for each in logged if each["level"] == "SEVERE"]
        return [each for each in messages if not any(text in each for text in self._ignored)]
