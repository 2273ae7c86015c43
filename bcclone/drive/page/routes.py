"""Serve the web page of a drive or a play: its addresses, and the messages that its script
exchanges.

Frames of the session go out, never faster than a page draws them; hands, controls, and who has the
wheel come in. docs/reference/page.md describes addresses and messages.
"""

import contextlib
import logging
from dataclasses import asdict
from typing import Any

import flask

from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.page.page_state import ControlChanges, PageFrame, PageSession
from bcclone.drive.wheel import HandInput, WheelView
from bcclone.system.codec import parse_json
from bcclone.system.errors import UserError
from bcclone.web.guarded_app import guarded_app, plain_text, posted, render, with_pictures
from bcclone.web.web_server import Host, WebServer
from bcclone.web.websocket import BadHandshake, Websocket

logger = logging.getLogger(__name__)

_PAGES = 8
_UNDRAWN_FRAMES = 2  # on their way to a page; more would only be late
_REFUSAL_CHARACTERS = 300  # characters; it repeats a value of the page
_LOOK_SECONDS = 0.1  # between two looks for a new state, without a call of wake()


def make_app(session: PageSession, pages: "OpenPages", server: WebServer) -> flask.Flask:
    """Return the page of a session as a WSGI app, which asks for the server's token."""
    responses = _Responses(session, pages, server)
    app = guarded_app(server, __package__, session.contents.program, responses.index)
    app.add_url_rule("/socket", view_func=responses.socket, websocket=True)
    app.add_url_rule("/room", view_func=responses.room)
    app.add_url_rule("/history", view_func=responses.history)
    app.add_url_rule("/track", view_func=responses.track)
    app.add_url_rule("/state", view_func=responses.state)
    app.add_url_rule("/control", view_func=responses.control, methods=["POST"])
    return app


class _Responses:
    """The responses of the page's addresses."""

    def __init__(self, session: PageSession, pages: "OpenPages", server: WebServer) -> None:
        self._session, self._pages, self._server = session, pages, server

    def index(self) -> str:
        contents = self._session.contents
        port = int(flask.request.environ["SERVER_PORT"])
        option = "" if port == contents.port else f" --port {port}"
        return render(
            "page.html", page=contents, option=option, highest_speed=f"{HIGHEST_SPEED_MPH:g}"
        )

    def socket(self) -> Any:
        """Serve a page over its websocket until it closes."""
        if self._pages.full:
            return self.room()
        try:
            websocket = self._server.accept_websocket(flask.request.environ)
        except (BadHandshake, OSError) as error:
            return plain_text(str(error), 400)
        self._pages.serve(websocket)
        return ""

    def room(self) -> flask.Response:
        """Return whether one more page has room; a browser does not tell why a websocket was
        refused.
        """
        return (
            plain_text(f"{_PAGES} pages are open already", 503)
            if self._pages.full
            else plain_text("there is room", 200)
        )

    def history(self) -> list[dict[str, Any]]:
        return [asdict(point) for point in self._session.history()]

    def track(self) -> Any:
        return self._session.contents.track_map or plain_text(
            "this car drives in another program's world", 404
        )

    def state(self) -> dict[str, Any]:
        return self._session.state()

    def control(self) -> Any:
        """Set the controls in the request's JSON; return the new state."""
        try:
            self._session.set(ControlChanges.parse(posted(), self._session.controls))
        except (ValueError, UserError) as error:
            return {"error": str(error)}, 400
        self._pages.wake()
        return self.state()


class OpenPages:
    """The open pages of a session, at most 8. host: serves them, in threads or in greenlets; full:
    no more may open.
    """

    def __init__(self, session: PageSession, host: Host) -> None:
        self._session, self._host = session, host
        self._pages: list[_Page] = []

    @property
    def full(self) -> bool:
        return len(self._pages) >= _PAGES

    def serve(self, socket: Websocket) -> None:
        """Serve a page until its websocket closes."""
        page = _Page(socket, self._host)
        self._session.hands.join(page)
        self._pages.append(page)
        try:
            self._host.start(self._send_frames, page)
            while (text := socket.wait()) is not None:
                self._receive(page, text)
                self._host.sleep(0)  # a page that sends without pause must not block the others
        finally:
            page.close()
            self._pages.remove(page)
            self._session.hands.leave(page)

    def wake(self) -> None:
        """Send the newest frame to the pages that have drawn those before; any thread may call
        this.
        """
        for page in list(self._pages):
            page.changed.set()

    def _receive(self, page: "_Page", text: str | bytes) -> None:
        """Do what a page's message says, or tell the page why not."""
        session, hands = self._session, self._session.hands
        try:
            try:
                message = parse_json(text)
            except ValueError as error:
                raise ValueError(f"{str(error)[:100]}; expected an object, as JSON") from None
            match message:
                case {"drawn": number}:
                    page.draw(_number(number))
                case {"input": number}:
                    hands.move(page, HandInput.parse(message.get("hands")), _number(number))
                case {"set": values}:
                    if not hands.may_set(page):
                        raise ValueError("this page only watches; ask for the wheel first")
                    session.set(ControlChanges.parse(values, session.controls))
                    self.wake()
                case {"wheel": "ask"}:
                    hands.ask(page)
                case {"wheel": "give" | "keep" as wish}:
                    hands.answer(page, give=wish == "give")
                case _:
                    raise ValueError(
                        "expected an object with drawn, input, set, or wheel: ask, give or keep"
                    )
        except (ValueError, UserError) as error:
            page.send(with_pictures({"kind": "refusal", "error": str(error)[:_REFUSAL_CHARACTERS]}))

    def _send_frames(self, page: "_Page") -> None:
        """Send the newest frames until the page closes; a slow page gets fewer."""
        number = 0
        try:
            while page.open:
                page.changed.wait(_LOOK_SECONDS)
                page.changed.clear()
                if not page.ready:
                    continue
                frame = self._session.newest()
                if frame is not None and frame.number != number:
                    number = frame.number
                    self._session.hands.check()
                    page.send_frame(frame, self._session.hands.view(page))
        except Exception:
            logger.exception("frames cannot be sent to a page")
        finally:
            page.close()


class _Page:
    """One page: its websocket, and the frames that it has not drawn yet."""

    def __init__(self, socket: Websocket, host: Host) -> None:
        self.open, self.changed = True, host.make_event()
        self._socket = socket
        self._sent = self._drawn = 0  # numbers of messages with a frame, from 1
        self._jpeg, self._overlay = b"", b""  # that were sent last

    @property
    def ready(self) -> bool:
        """Return whether the page can take another frame."""
        return self.open and self._sent - self._drawn < _UNDRAWN_FRAMES

    def draw(self, number: int) -> None:
        """Take note that the page has drawn its frame of this number."""
        self._drawn = max(self._drawn, min(number, self._sent))
        self.changed.set()

    def send_frame(self, frame: PageFrame, view: WheelView) -> None:
        """Send a frame, with the pictures that are new."""
        self._sent += 1
        state = frame.state | {"kind": "frame", "number": self._sent, "wheel": asdict(view)}
        jpeg = b"" if frame.jpeg is self._jpeg else frame.jpeg
        overlay = b"" if frame.overlay is self._overlay else frame.overlay
        self._jpeg, self._overlay = frame.jpeg, frame.overlay
        self.send(with_pictures(state, jpeg, overlay))

    def send(self, message: bytes) -> None:
        """Send a message; the page is closed when that fails."""
        try:
            self._socket.send(message)
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the page; both its threads end."""
        self.open = False
        self.changed.set()
        with contextlib.suppress(OSError):
            self._socket.close()


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r}, expected a number from 0")
    return value
