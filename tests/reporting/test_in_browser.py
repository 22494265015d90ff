"""The report in a real browser: Chromium without a window, driven through a pipe by its DevTools protocol."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")


class Browser:
    """One page of a Chromium, and what it said on its console."""

    def __init__(self, profile: Path) -> None:
        to_browser, self.write = os.pipe()
        self.read, from_browser = os.pipe()
        # the protocol's pipe is file 3 for commands and 4 for answers; they may have these numbers already
        shell = f'exec 3<&{to_browser} 4>&{from_browser}; exec "$@"'
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "about:blank"]
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "bash", str(CHROMIUM), *arguments, f"--user-data-dir={profile}"],
            pass_fds=(to_browser, from_browser),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self.events: list[dict[str, Any]] = []
        self.n_sent, self.rest, self.session = 0, b"", None
        targets = self.send("Target.getTargets")["targetInfos"]
        page = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = self.send("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def message(self) -> dict[str, Any]:
        """Wait for the next message."""
        while b"\0" not in self.rest:
            part = os.read(self.read, 1 << 16)
            if not part:
                raise RuntimeError("Chromium has ended")
            self.rest += part
        text, _, self.rest = self.rest.partition(b"\0")
        return json.loads(text)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self.n_sent += 1
        command = {"id": self.n_sent, "method": method, "params": params}
        if self.session is not None:
            command["sessionId"] = self.session
        os.write(self.write, json.dumps(command).encode() + b"\0")
        while True:
            answer = self.message()
            if answer.get("id") == self.n_sent:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        self.send("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self.message())

    def value(self, expression: str) -> Any:
        """Return the value of an expression in the page."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def complaints(self) -> list[str]:
        """Return errors and warnings that the page caused."""
        found = []
        for event in self.events:
            if event.get("method") == "Runtime.exceptionThrown":
                found.append(str(event["params"]["exceptionDetails"]))
            elif event.get("method") == "Runtime.consoleAPICalled":
                found.append(str(event["params"]["args"]))
            elif event.get("method") == "Log.entryAdded":
                found.append(event["params"]["entry"]["text"])
        return found

    def requested(self) -> list[str]:
        """Return the addresses that the page asked for."""
        requests = [
            event["params"]["request"] for event in self.events if event.get("method") == "Network.requestWillBeSent"
        ]
        return [request["url"] for request in requests if not request["url"].startswith("data:")]

    def close(self) -> None:
        """End the browser."""
        self.process.terminate()
        self.process.wait(30)
        os.close(self.write)
        os.close(self.read)


@pytest.fixture(scope="module")
def browser(written: Path, tmp_path_factory) -> Iterator[Browser]:
    browser = Browser(tmp_path_factory.mktemp("profile"))
    try:
        browser.open(written)
        yield browser
    finally:
        browser.close()


def test_it_opens_without_errors_and_loads_nothing_else(browser: Browser, written: Path) -> None:
    assert browser.complaints() == []
    assert browser.requested() == [written.as_uri()]
    # no name that a user gave was run
    assert browser.value("document.title").startswith("Report of <script>")


def test_every_figure_is_shown(browser: Browser) -> None:
    sizes = browser.value(
        "[...document.images].map(i => [i.complete, i.naturalWidth, i.getBoundingClientRect().width])"
    )
    assert len(sizes) == 6
    for complete, natural, shown in sizes:
        assert complete
        assert natural > 300
        assert shown > 200


def column(browser: Browser, table: int, number: int) -> list[str]:
    return browser.value(
        f"[...document.querySelectorAll('table')[{table}].tBodies[0].rows].map(r => r.cells[{number}].textContent)"
    )


def click(browser: Browser, table: int, number: int) -> str:
    head = f"document.querySelectorAll('table')[{table}].tHead.rows[0].cells[{number}]"
    browser.value(f"{head}.firstElementChild.click()")
    return browser.value(f"{head}.getAttribute('aria-sort')")


def test_tables_are_sorted_by_a_click(browser: Browser) -> None:
    captions = browser.value("[...document.querySelectorAll('table')].map(t => t.caption ? t.caption.textContent : '')")
    links = next(i for i, text in enumerate(captions) if text.startswith("The first"))
    # r, with a true minus in its text: numbers, not text
    assert click(browser, links, 3) == "ascending"
    shown = [float(text.replace("\N{MINUS SIGN}", "-")) for text in column(browser, links, 3)]
    assert shown == sorted(shown)
    assert shown[0] < 0 < shown[-1]
    assert click(browser, links, 3) == "descending"
    assert [float(t.replace("\N{MINUS SIGN}", "-")) for t in column(browser, links, 3)] == shown[::-1]
    assert click(browser, links, 0) == "ascending"
    genes = column(browser, links, 0)
    assert genes == sorted(genes)
    # by the keyboard as well
    press = "new KeyboardEvent('keydown', {{key: '{}', cancelable: true}})"
    head = f"document.querySelectorAll('table')[{links}].tHead.rows[0].cells[0]"
    for key in ("Enter", " "):
        browser.value(f"{head}.firstElementChild.dispatchEvent({press.format(key)})")
    assert column(browser, links, 0) == genes
    browser.value(f"{head}.firstElementChild.dispatchEvent({press.format('Enter')})")
    assert column(browser, links, 0) == sorted(genes, reverse=True)
    # a missing value is last either way
    for _ in range(2):
        click(browser, 0, 3)
        assert column(browser, 0, 3)[-1] == "–"


@pytest.mark.parametrize("width", [1280, 1440, 700])
def test_nothing_runs_out_of_the_page(browser: Browser, width: int, tmp_path: Path) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.send("Emulation.setDeviceMetricsOverride", **metrics)
    assert browser.value("document.documentElement.scrollWidth") <= width
    picture = base64.b64decode(browser.send("Page.captureScreenshot", captureBeyondViewport=True)["data"])
    (tmp_path / "page.png").write_bytes(picture)
    assert len(picture) > 20_000


def test_it_prints_on_a_few_pages(browser: Browser) -> None:
    browser.send("Emulation.clearDeviceMetricsOverride")
    pdf = base64.b64decode(browser.send("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert pdf.startswith(b"%PDF")
    assert 2 <= pdf.count(b"/Type /Page\n") <= 12
