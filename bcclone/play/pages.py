"""Exchange messages with the open pages: frames out, never faster than a page draws them; hands and wishes in."""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Protocol

from bcclone.drive.dashboard.page_messages import (
    Drawn,
    HandsMoved,
    PlayChanges,
    WheelRequest,
    parse_message,
    with_pictures,
)
from bcclone.drive.hand_controls import RELEASED
from bcclone.drive.wheel import Seat, SeatView
from bcclone.play.play_session import PlayedFrame, PlaySession
from bcclone.system.errors import UserError

logger = logging.getLogger(__name__)

_UNDRAWN_FRAMES = 2  # on their way to a page; more would only be late
_CHECK_SECONDS = 0.5


class MessageSocket(Protocol):
    """A websocket: wait() returns None at its end, send() raises OSError then."""

    def wait(self) -> str | bytes | None:
        """Return the next message."""

    def send(self, message: str | bytes) -> None:
        """Send a message."""

    def close(self) -> None:
        """Close it."""


class PlayPages:
    """The open pages of a session; one of them drives. most: how many there may be."""

    def __init__(self, session: PlaySession, most: int) -> None:
        self.most = most
        self._session, self._seat, self._lock = session, Seat(), threading.Lock()
        self._admitted = 0

    @property
    def full(self) -> bool:
        """Return whether there is no room for one more page."""
        return self._admitted >= self.most

    @contextmanager
    def admission(self) -> Iterator[bool]:
        """Keep room for a page within the block, before its websocket is there; yield False if there is none."""
        with self._lock:
            admitted = not self.full
            self._admitted += admitted
        try:
            yield admitted
        finally:
            with self._lock:
                self._admitted -= admitted

    def serve(self, socket: MessageSocket) -> None:
        """Serve an admitted page until its websocket closes."""
        page = _Page(socket)
        with self._joined(page):
            sender = threading.Thread(target=self._send, args=(page,), name="bcclone-page", daemon=True)
            sender.start()
            try:
                while (text := socket.wait()) is not None:
                    self._receive(page, text)
            finally:
                page.close()
                sender.join()

    @contextmanager
    def _joined(self, page: "_Page") -> Iterator[None]:
        with self._changing_driver():
            self._seat.join(page)
        try:
            yield
        finally:
            with self._changing_driver():
                self._seat.leave(page)

    @contextmanager
    def _changing_driver(self) -> Iterator[None]:
        """Lock the seat; a page that loses the wheel takes its hands off it."""
        controls = self._session.controls
        with self._lock:
            before = self._seat.driver
            yield
            controls.pages = self._seat.pages
            if self._seat.driver is not before:
                controls.input = (0, RELEASED)

    def _receive(self, page: "_Page", text: str | bytes) -> None:
        try:
            message = parse_message(text)
            if isinstance(message, Drawn):
                page.drawn(message.number)
            elif isinstance(message, WheelRequest):
                self._pass_wheel(page, message.wish)
            elif page is not self._seat.driver:
                raise ValueError("this page only watches; ask for the wheel first")
            elif isinstance(message, HandsMoved):
                self._session.controls.at = time.monotonic()
                self._session.controls.input = (message.number, message.hands)
            else:
                self._set(message)
        except (ValueError, UserError) as error:
            page.send(with_pictures({"kind": "refusal", "error": str(error)}))

    def _pass_wheel(self, page: "_Page", wish: str) -> None:
        with self._changing_driver():
            if wish == "ask":
                self._seat.ask(page)
            else:
                self._seat.answer(page, give=wish == "give")

    def _set(self, changes: PlayChanges) -> None:
        """Set some controls; raises ValueError or UserError with the reason when that is not possible."""
        session = self._session
        if changes.saliency is not None:
            if session.saliency is None:
                raise ValueError("there is no saliency overlay: no model drives")
            session.saliency.on = changes.saliency
        if changes.recording is not None:
            session.recorder.turn(changes.recording)
        if changes.set_speed_mph is not None and session.driver is not None:
            session.driver.controller.set_speed_mph = float(changes.set_speed_mph)
        if changes.kept is not None:
            session.wheel.kept = changes.kept
        if changes.paused is not None:
            session.controls.paused = changes.paused
        if changes.put_back:
            session.controls.put_back = True

    def _send(self, page: "_Page") -> None:
        try:
            self._send_frames(page)
        except Exception:
            logger.exception("frames cannot be sent to a page")
        finally:
            page.close()

    def _send_frames(self, page: "_Page") -> None:
        """Send the newest frames until the page or the session ends; a slow page gets fewer."""
        number, mask = 0, 0
        feed = self._session.feed
        while page.open and not feed.closed:
            if not page.ready(_CHECK_SECONDS):
                continue
            frame = feed.after(number, _CHECK_SECONDS)
            if frame is None:
                continue
            number = frame.number
            with self._changing_driver():
                self._seat.check(asleep=frame.state.mode == "asleep")
                view = self._seat.view(page)
            overlay_of, overlay = self._session.saliency.png if self._session.saliency else (0, b"")
            page.send_frame(frame, view, overlay if overlay_of != mask else b"")
            mask = overlay_of


class _Page:
    """One page: its websocket, and the frames that it has not drawn yet."""

    def __init__(self, socket: MessageSocket) -> None:
        self.open = True
        self._socket = socket
        self._changed = threading.Condition()
        self._sent = self._drawn = 0  # numbers of messages with a frame, from 1

    def ready(self, seconds: float) -> bool:
        """Return whether the page can take another frame; wait for that so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: not self.open or self._sent - self._drawn < _UNDRAWN_FRAMES, seconds)

    def drawn(self, number: int) -> None:
        """Take note that the page has drawn its frame of this number."""
        with self._changed:
            self._drawn = max(self._drawn, min(number, self._sent))
            self._changed.notify_all()

    def send_frame(self, frame: PlayedFrame, view: SeatView, overlay: bytes) -> None:
        """Send a frame, with the overlay if there is a new one."""
        with self._changed:
            self._sent += 1
        state = frame.state.as_json() | {"kind": "frame", "number": self._sent, "wheel": asdict(view)}
        self.send(with_pictures(state, frame.jpeg, overlay))

    def send(self, message: bytes) -> None:
        """Send a message; the page is closed when that fails."""
        try:
            self._socket.send(message)
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the page; its threads end."""
        with self._changed:
            self.open = False
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            self._socket.close()
