"""Serve the web page of a drive or a play: its addresses, and the messages of its script.

The server sends the frames of the session, never faster than a page draws them, and says who has
the wheel. The page sends the input of a person's hands, controls to set, and requests for the
wheel. docs/reference/page.md describes addresses and messages.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import flask

from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.hand_input import HandInput
from bcclone.drive.page.page_state import ControlChanges, PageFrame, PageSession
from bcclone.drive.page_hands import WheelView
from bcclone.system.codec import parse_json
from bcclone.system.errors import UserError
from bcclone.web.page import guarded_app, plain_text, posted, render, with_pictures
from bcclone.web.server import BadHandshake, WebServer, Websocket

logger = logging.getLogger(__name__)

_PAGES = 8  # most pages that may be open at once


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
        self._session = session
        self._pages = pages
        self._server = server

    def index(self) -> str:
        """Return the page."""
        contents = self._session.contents
        port = int(flask.request.environ["SERVER_PORT"])
        # for the commands that the page shows
        option = "" if port == contents.default_port else f" --port {port}"
        return render(
            "page.html", page=contents, option=option, highest_speed=f"{HIGHEST_SPEED_MPH:g}"
        )

    def socket(self) -> Any:
        """Serve a page over its websocket until it closes."""
        with self._pages.place() as is_free:
            if not is_free:
                return self.room()
            try:
                websocket = self._server.accept_websocket(flask.request.environ)
            except (BadHandshake, OSError) as error:
                return plain_text(str(error), 400)
            self._pages.serve(websocket)
            return ""

    def room(self) -> flask.Response:
        """Return whether there is room for one more page.

        The page's script asks, since a browser does not tell it why a websocket was refused.
        """
        if self._pages.full:
            return plain_text(f"{_PAGES} pages are open already", 503)
        return plain_text("there is room", 200)

    def history(self) -> list[dict[str, Any]]:
        """Return the points of the plots."""
        return [asdict(point) for point in self._session.history()]

    def track(self) -> Any:
        """Return the map of the built-in world's track."""
        track_map = self._session.contents.track_map
        if track_map is None:
            return plain_text("this car drives in another program's world", 404)
        return track_map

    def state(self) -> dict[str, Any]:
        """Return the state of the session."""
        return self._session.state()

    def control(self) -> Any:
        """Set the controls in the request's JSON; return the new state."""
        try:
            self._session.set(ControlChanges.parse(posted(), self._session.controls))
        except (ValueError, UserError) as error:
            return {"error": str(error)}, 400
        self._pages.wake()
        return self.state()


_REFUSAL_CHARACTERS = 300  # longest refusal; it repeats a value that the page sent, of any length
_LOOK_SECONDS = 0.1  # between two looks for a new frame, if wake() is not called


class OpenPages:
    """The open pages of a session, at most 8."""

    def __init__(self, session: PageSession, server: WebServer) -> None:
        self._session = session
        self._server = server
        self._pages: list[_Page] = []
        self._lock = threading.Lock()  # held while places are counted
        self._taken = 0  # number of pages that are open, or about to open

    @property
    def full(self) -> bool:
        """Return whether no more pages may open."""
        return self._taken >= _PAGES

    @contextlib.contextmanager
    def place(self) -> Iterator[bool]:
        """Keep a place for a page within the block; yield False if all places are taken."""
        with self._lock:
            is_free = not self.full
            self._taken += is_free
        try:
            yield is_free
        finally:
            with self._lock:
                self._taken -= is_free

    def serve(self, socket: Websocket) -> None:
        """Serve a page until its websocket closes."""
        page = _Page(socket, self._server)
        self._session.hands.join(page)
        self._pages.append(page)
        try:
            with self._sending_frames(page):
                while (text := socket.wait()) is not None:
                    self._receive(page, text)
                    # a page that sends without pause must not block the others
                    self._server.sleep(0)
        finally:
            self._pages.remove(page)
            self._session.hands.leave(page)

    @contextlib.contextmanager
    def _sending_frames(self, page: "_Page") -> Iterator[None]:
        """Send frames to a page beside the block, at whose end the page is closed."""
        thread = self._server.threads.Thread(target=self._send_frames, args=(page,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            page.close()
            thread.join()

    def wake(self) -> None:
        """Send the newest frame to the pages that are ready for it; any thread may call this."""
        for page in list(self._pages):
            page.changed.set()

    def _receive(self, page: "_Page", text: str | bytes) -> None:
        """Do what a page's message says, or tell the page why not."""
        try:
            self._obey(page, _parse_message(text))
        except (ValueError, UserError) as error:
            reason = str(error)[:_REFUSAL_CHARACTERS]
            page.send(with_pictures({"kind": "refusal", "error": reason}))

    def _obey(self, page: "_Page", message: Any) -> None:
        """Do what a page's message says; raises ValueError or UserError with the reason why not."""
        session = self._session
        hands = session.hands
        match message:
            case {"drawn": number}:
                page.note_drawn(_check_number(number))
            case {"input": number}:
                values = HandInput.parse(message.get("hands"))
                hands.move(page, values, _check_number(number))
            case {"set": changes}:
                if not hands.may_set(page):
                    raise ValueError("this page only watches; ask for the wheel first")
                session.set(ControlChanges.parse(changes, session.controls))
                self.wake()
            case {"wheel": "ask"}:
                hands.ask(page)
            case {"wheel": "give" | "keep" as wish}:
                hands.answer(page, give=wish == "give")
            case _:
                raise ValueError(
                    "expected an object with drawn, input, set, or wheel: ask, give or keep"
                )

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
                    self._session.hands.hand_over_if_due()
                    page.send_frame(frame, self._session.hands.view(page))
        except Exception:
            logger.exception("frames cannot be sent to a page")
        finally:
            page.close()


_UNDRAWN_FRAMES = 2  # most frames on their way to a page; more would only be late


class _Page:
    """One page: its websocket, and the frames that it has not drawn yet."""

    def __init__(self, socket: Websocket, server: WebServer) -> None:
        self.open = True
        self.changed = server.threads.Event()  # set when there may be something to send
        self._socket = socket
        # numbers of the last messages with a frame, from 1
        self._sent = 0
        self._drawn = 0
        # the pictures that were sent last
        self._jpeg = b""
        self._overlay = b""

    @property
    def ready(self) -> bool:
        """Return whether the page can take another frame."""
        return self.open and self._sent - self._drawn < _UNDRAWN_FRAMES

    def note_drawn(self, number: int) -> None:
        """Take note that the page has drawn its frame of this number."""
        self._drawn = max(self._drawn, min(number, self._sent))
        self.changed.set()

    def send_frame(self, frame: PageFrame, view: WheelView) -> None:
        """Send a frame, with the pictures that are new."""
        self._sent += 1
        state = frame.state | {"kind": "frame", "number": self._sent, "wheel": asdict(view)}
        jpeg = b"" if frame.jpeg is self._jpeg else frame.jpeg
        overlay = b"" if frame.overlay is self._overlay else frame.overlay
        self._jpeg = frame.jpeg
        self._overlay = frame.overlay
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


def _parse_message(text: str | bytes) -> Any:
    """Return the JSON of a page's message; raises ValueError."""
    try:
        return parse_json(text)
    except ValueError as error:
        reason = str(error)[:100]
        raise ValueError(f"{reason}; expected an object, as JSON") from None


def _check_number(value: Any) -> int:
    """Return the number of a frame or an input; raises ValueError for anything else."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r}, expected a number from 0")
    return value
