"""Open a page in the user's browser, on a machine with a display."""

import os
import sys
import threading
import webbrowser
from pathlib import Path


def open_in_browser(page: Path | str, seconds: float = 5.0) -> None:
    """Open a page, a file or a URL; not on a machine without a display, where a browser would take over the terminal.

    seconds: how long to wait for the browser to start, which may not return before it is closed.
    """
    if sys.platform in ("win32", "darwin") or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY")):
        url = page.resolve().as_uri() if isinstance(page, Path) else page
        thread = threading.Thread(target=webbrowser.open, args=(url,), daemon=True)
        thread.start()
        thread.join(seconds)
