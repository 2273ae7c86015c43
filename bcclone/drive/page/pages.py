"""Exchange messages with the open pages.

Frames of the session go out, never faster than a page draws them; what a person does at a page comes in: hands,
controls, and who has the wheel.

docs/reference/page.md describes the messages.
"""

import contextlib
import json
import logging
from dataclasses import asdict
from typing import Any

from bcclone.drive.page.page_state import ControlChanges, PageFrame, PageSession
from bcclone.drive.wheel import HandInput, WheelView
from bcclone.drive.wire.web_server import Host
from bcclone.drive.wire.websocket import Websocket
from bcclone.system.codec import parse_json
from bcclone.system.errors import UserError

logger = logging.getLogger(__name__)

PAGES = 8
_UNDRAWN_FRAMES = 2  # on their way to a page; more would only be late
_REFUSAL_CHARACTERS = 300  # characters; it repeats a value of the page
_LOOK_SECONDS = 0.1  # between two looks for a new state, without a call of wake()


class OpenPages:
    """The open pages of a session, at most 8. host: serves them, in threads or in greenlets."""

    def __init__(self, session: PageSession, host: Host) -> None:
        self._session, self._host = session, host
        self._pages: list[_Page] = []

    @property
    def full(self) -> bool:
        """Return whether there is no room for one more page."""
        return len(self._pages) >= PAGES

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
        """Send the newest frame to the pages that have drawn those before; any thread may call this."""
        for page in list(self._pages):
            page.changed.set()

    def _receive(self, page: "_Page", text: str | bytes) -> None:
        """Do what a page's message says, or tell the page why not."""
        try:
            try:
                message = parse_json(text)
            except ValueError as error:
                raise ValueError(f"{str(error)[:100]}; expected an object, as JSON") from None
            self._obey(page, message)
        except (ValueError, UserError) as error:
            page.send(with_pictures({"kind": "refusal", "error": str(error)[:_REFUSAL_CHARACTERS]}))

    def _obey(self, page: "_Page", message: Any) -> None:
        session, hands = self._session, self._session.hands
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
                raise ValueError("expected an object with drawn, input, set, or wheel: ask, give or keep")

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


def with_pictures(state: dict[str, Any], *pictures: bytes) -> bytes:
    """Return a binary message: the length of the state, 4 bytes, the state as JSON, then the pictures.

    The state gets their lengths as `pictures`.
    """
    text = json.dumps(state | {"pictures": [len(picture) for picture in pictures]}, allow_nan=False).encode()
    return b"".join([len(text).to_bytes(4, "big"), text, *pictures])


def _number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r}, expected a number from 0")
    return value
