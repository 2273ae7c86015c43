"""Serve the page that shows a recording and edits it: `bcclone edit RECORDING --page`.

serve_page() takes a recording, or two to compare. A browser gets the page, its state as JSON, and
pictures and curves as bytes; it sends edits. docs/reference/page.md describes the URLs and their
answers.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

from bcclone.editor.viewed import Viewed
from bcclone.model.policy import load_policy
from bcclone.system.errors import UserError
from bcclone.system.hardware import open_in_browser
from bcclone.system.process import Notify
from bcclone.web.access import Access
from bcclone.web.page import guarded_app, posted, render, with_pictures
from bcclone.web.server import WebServer, listen

_PORT = 4569  # the page's usual port
_MAX_BODY_BYTES = 1_000_000  # largest request that asks for an edit; it may have thousands of spans
_BINARY = {"Content-Type": "application/octet-stream"}  # header of a binary response


def serve_page(
    recordings: Sequence[str],
    model: Path | None = None,
    port: int = 0,
    browser: bool = True,
    notify: Notify = print,
    stop: Event | None = None,
) -> None:
    """Serve the page of recordings, one below the other, until Ctrl-C, SIGTERM or `stop`.

    Raises UserError for a recording or a model that cannot be read, and for a port that is in use.

    model: shows how it would steer, too
    port: 0 for the usual one, or a free one if it is in use
    browser: open the page in a browser
    notify: called with lines for the user
    stop: an event that any thread may set to end the server
    """
    with (
        WebServer(("127.0.0.1", port or _usual_port()), Access(), notify, stop) as server,
        ExitStack() as stack,
    ):
        policy = load_policy(model) if model else None
        viewed = [stack.enter_context(Viewed(name, model, policy)) for name in recordings]
        server.show(_app(server, viewed))
        notify(f"look at the recording here: {server.url}; Ctrl-C ends")
        if browser:
            open_in_browser(server.url, seconds=0)  # 0: does not wait for the browser
        server.wait()


def _usual_port() -> int:
    """Return the page's usual port, or 0, for any free port, if the usual one is in use.

    The port is usually the same, so that a page that is still open in a browser works again when
    the command is started again.
    """
    with suppress(UserError):
        listen("127.0.0.1", _PORT).close()
        return _PORT
    return 0


def _app(server: WebServer, recordings: Sequence[Viewed]) -> Any:
    """Return the page's app; it shows each recording in a panel, one below the other."""
    index = partial(render, "editor.html", title=recordings[0].name)
    app = guarded_app(server, __package__, "bcclone edit", index, _MAX_BODY_BYTES)

    def route(rule: str, answer: Callable[..., Any], **options: Any) -> None:
        """Answer requests for a panel.

        rule: pattern of the path: with the number of a panel, and perhaps of a row
        answer: called with the panel's recording, and the row if the path has one
        """

        def view(panel: int, **more: int) -> Any:
            if panel >= len(recordings) or more.get("row", 0) >= len(recordings[panel].rows):
                return {"error": "no such recording or row"}, 404
            return answer(recordings[panel], **more)

        app.add_url_rule(rule, endpoint=rule, view_func=view, **options)

    app.add_url_rule("/panels", "panels", lambda: [viewed.about() for viewed in recordings])
    route("/state/<int:panel>", Viewed.state)
    route("/curves/<int:panel>", _curves)
    route("/frames/<int:panel>/<int:row>", _frames)
    route("/edit/<int:panel>", lambda viewed: viewed.edit(posted), methods=["POST"])
    return app


def _frames(viewed: Viewed, row: int) -> tuple[bytes, dict[str, str]]:
    """Return the pictures of a row."""
    return with_pictures({"row": row}, *viewed.pictures(row)), _BINARY


def _curves(viewed: Viewed) -> tuple[bytes, dict[str, str]]:
    """Return a binary response with the curves.

    It has three parts: the length of the second part in 4 bytes, the most significant first; a JSON
    object that lists name, type and length of each curve; and the curves, one after the other.
    """
    curves = viewed.curves()
    columns = [(name, _type_of(curve), len(curve)) for name, curve in curves.items()]
    head = json.dumps({"columns": columns}).encode()
    head += b" " * (-len(head) % 4)  # arrays in JavaScript begin at multiples of 4
    contents = [curve.tobytes() for curve in curves.values()]
    return b"".join([len(head).to_bytes(4, "big"), head, *contents]), _BINARY


def _type_of(curve: Any) -> str:
    """Return the type of a curve's values: "f4" is float32, "u4" uint32."""
    return "f4" if curve.dtype.kind == "f" else "u4"
