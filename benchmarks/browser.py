"""Headless Chromium, and waiting for what its page shows, for the benchmarks of pages.

Needs selenium, chromium and chromium-driver.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def headless_browser() -> Iterator[Any]:
    """Yield a browser without a window within the block."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1280,1000"):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when the condition holds; raises TimeoutError after a minute."""
    most_seconds = 60.0
    end = time.monotonic() + most_seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"the page shows nothing after {most_seconds:g} s")
        time.sleep(0.02)


def holds(browser: Any, expression: str) -> bool:
    """Return whether an expression of JavaScript is true on the page."""
    return bool(browser.execute_script(f"return Boolean({expression})"))
