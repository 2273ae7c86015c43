"""The web page of a drive or a play: what it shows and sets, its addresses and its messages.

A `Session` is a drive or a play for its pages: its state, its newest frame, and the controls that
pages set. `Pages` serves it. docs/reference/page.md describes fields, addresses and messages.
"""

import logging
import math
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import flask

from bcclone.drive.cars import Cars
from bcclone.drive.controller import HIGHEST_SPEED_MPH
from bcclone.drive.drive_settings import DriveSettings
from bcclone.drive.driver import Driver, SteeringPolicy
from bcclone.drive.hands import HandInput, Hands
from bcclone.drive.saliency_overlay import SaliencyThread
from bcclone.model.policy import Policy
from bcclone.recording.run_folder import Recorder, free_folder
from bcclone.system.codec import parse_json
from bcclone.system.errors import (
    UserError,
    command_line,
    first_line,
    shown_command,
)
from bcclone.system.secret_words import without_secrets
from bcclone.web.page import guarded_app, plain_text, posted, render, with_pictures
from bcclone.web.server import WebServer
from bcclone.web.websocket import BadHandshake, Websocket

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class PageFrame:
    """What a page shows at a moment."""

    number: int  # from 1; the same picture may be sent again, with a new number and state
    jpeg: bytes  # the camera's picture, b"" without a car
    overlay: bytes  # the newest saliency overlay, a PNG, b"" if off
    state: dict[str, Any]


def parse_controls(values: Any, names: Sequence[str]) -> dict[str, Any]:
    """Check a JSON value, and return it as the controls to set; raises ValueError with the reason.

    names: names of the controls that the session has
    """
    if not isinstance(values, dict) or not values or not set(values) <= set(names):
        raise ValueError(f"expected an object with some of {', '.join(names)}")
    for name, value in values.items():
        if name == "set_speed_mph":
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 <= value <= HIGHEST_SPEED_MPH:
                raise ValueError(f"set speed {value!r}, expected 0 to {HIGHEST_SPEED_MPH:g} mph")
        elif not isinstance(value, bool):
            raise ValueError(f"{name} {value!r}, expected true or false")
    return values


class Session(ABC):
    """A drive or a play, for its pages."""

    program = ""  # name of the command, such as bcclone drive
    names: Mapping[str, object] = {}  # what the page shows -> its name: model -> lake.h5
    default_port = 0  # of the command
    track = ""  # name of the built-in world's track, "" for the car of another program
    track_map: dict[str, Any] | None = None  # `line`: x and z of its centre line in metres
    sees = ""  # the preprocessing of the model's input, in words
    # the part of the frame that the model sees, as fractions of its width and height: left, top,
    # right, bottom; None if the page does not mark it
    region: tuple[float, float, float, float] | None = None

    def __init__(
        self,
        hands: Hands,
        recorder: Recorder[Any],
        driver: Driver | None = None,
        saliency: SaliencyThread | None = None,
    ) -> None:
        self.hands = hands  # the open pages, which of them has the wheel, and what it does
        self.recorder = recorder
        self.driver = driver  # the model and its controller, None if only a person drives
        self.saliency = saliency  # None without a model

    @property
    def subject(self) -> str:
        """Return what the page shows, such as "model lake.h5, folder run1"; "" for nothing."""
        return ", ".join(f"{what} {name}" for what, name in self.names.items() if name)

    @property
    def has_model(self) -> bool:
        """Return whether a model drives, or will once it is loaded."""
        return self.driver is not None

    @property
    def set_speed_mph(self) -> float | None:
        """Return the speed that the model is to hold, None without a model."""
        return self.driver.controller.set_speed_mph if self.driver else None

    @property
    @abstractmethod
    def controls(self) -> Sequence[str]:
        """Return the names of the controls that pages set."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the state, for JSON."""

    def command(self, typed: Sequence[str]) -> str:
        """Return the command line that starts the session again, without its secrets.

        typed: the words that started it; without any there is no line, ""
        """
        return command_line(map(self._retyped, without_secrets(typed)))

    def _retyped(self, word: str) -> str:
        """Return a word of the command line as it is typed the next time."""
        return word

    @abstractmethod
    def newest(self) -> PageFrame | None:
        """Return the newest frame, None before the first."""

    def set(self, changes: dict[str, Any]) -> None:
        """Set controls, as parse_controls() returns them.

        Raises ValueError or UserError with the reason why it cannot.
        """
        if "saliency" in changes and self.saliency is not None:
            self.saliency.on = changes["saliency"]
        if "recording" in changes:
            self.recorder.turn(changes["recording"])
        if "set_speed_mph" in changes and self.driver is not None:
            self.driver.controller.set_speed_mph = float(changes["set_speed_mph"])

    def make_frame(self, number: int, jpeg: bytes, state: dict[str, Any]) -> PageFrame:
        """Return a frame with the newest saliency overlay."""
        overlay = self.saliency.png if self.saliency else b""
        return PageFrame(number, jpeg, overlay, state)

    def state_with(self, figures: dict[str, Any]) -> dict[str, Any]:
        """Return the state of any session together with a drive's or play's figures, for JSON."""
        by = self.hands.driven_by
        saliency = {"on": False, "unavailable": "no model drives"}
        if self.saliency is not None:
            saliency = {"on": self.saliency.on, "unavailable": self.saliency.unavailable}
        return {
            "driver": by.driver,
            "take_over": by.take_over,
            "set_speed_mph": self.set_speed_mph,
            "recording": self.recorder.state(),
            "saliency": saliency,
            "sees": self.sees,
            "region": self.region,
            **figures,
        }


# shortest time between two frames of a drive; a little less than the 0.1 s between two polls for a
# new frame, so that each poll finds one
_PAGE_SECONDS = 0.09


class DriveSession(Session):
    """What the pages of a drive see and set; any number of pages costs as much as one."""

    program = "bcclone drive"
    default_port = DriveSettings.port
    controls = ("saliency", "recording", "set_speed_mph", "autonomous")

    def __init__(
        self,
        cars: Cars,
        hands: Hands,
        saliency: SaliencyThread,
        policy: SteeringPolicy,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(hands, cars.recorder, cars.arbiter.driver, saliency)
        if isinstance(policy, Policy):
            self.sees = policy.preprocessing.describe()
            self.region = _seen_region(policy)
        self.cars = cars
        self._clock = clock  # in seconds
        self._lock = threading.Lock()
        self._frame: PageFrame | None = None
        self._next_at = -math.inf  # when the next frame is made

    def _retyped(self, word: str) -> str:
        # nothing is recorded into a folder that has a recording
        folder = self.recorder.folder
        if folder is not None and self.recorder.recorded and Path(word) == folder:
            return str(free_folder(folder))
        return super()._retyped(word)

    def state(self) -> dict[str, Any]:
        cars = self.cars
        connected = {"dialect": cars.dialect, "clients": cars.count}
        return self.state_with(cars.stats.figures() | connected)

    def newest(self) -> PageFrame:
        """Return the newest frame and state, which all pages share."""
        with self._lock:
            now = self._clock()
            if self._frame is None or now >= self._next_at:
                number = self._frame.number + 1 if self._frame else 1
                _, jpeg = self.cars.stats.last_frame
                self._frame = self.make_frame(number, jpeg, self.state())
                self._next_at = now + _PAGE_SECONDS
            return self._frame

    def set(self, changes: dict[str, Any]) -> None:
        try:
            super().set(changes)  # may raise, so it comes first: nothing is half done
            if "autonomous" in changes:
                self.cars.arbiter.autonomous = changes["autonomous"]
        finally:
            self._next_at = -math.inf  # newest() makes a frame at once, which shows the change


def _seen_region(policy: Policy) -> tuple[float, float, float, float]:
    takes_whole_frames = policy.model is None  # as a file of another program does
    shows_whole_pictures = policy.framing is not None  # the page shows another camera's as they are
    if takes_whole_frames or shows_whole_pictures:
        return 0.0, 0.0, 1.0, 1.0
    from bcclone.model.saliency import seen_region  # loads TensorFlow

    return seen_region(policy.model, policy.preprocessing)


# ---- addresses and messages

_REFUSAL_CHARACTERS = 300  # longest refusal; it quotes the page's value, which may be of any length
_LOOK_SECONDS = 0.1  # between two polls for a new frame, if wake() is not called
_ENDING_SECONDS = 1.0  # longest wait at the end for pages that do not read
_ENDING_LOOK_SECONDS = 0.01


class Pages:
    """The open pages of a session, and the app that serves them.

    At the end of its `with` block, the pages are told what was recorded, what comes next and how to
    start again; all rows should be written then.
    """

    def __init__(
        self,
        session: Session,
        server: WebServer,
        typed: Sequence[str] = (),
        next_step: Callable[[Path], str] = lambda folder: "",
    ) -> None:
        """Make the pages.

        typed: the words of the command line that started the session
        next_step: returns the line that says what to do with the recording in a folder, "" if
            nothing comes next
        """
        self._session = session
        self._server = server
        self._typed = typed
        self._next_step = next_step
        self._pages: list[_Page] = []
        self._last_message = b""  # what every page is sent at the end

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        failure = ""
        if isinstance(error, UserError):
            failure = str(error)  # whole, since its remedy stands at its end
        elif isinstance(error, Exception):
            failure = first_line(error)
        self._end(failure)

    def app(self) -> flask.Flask:
        """Return the WSGI app of the page, which asks for the server's token."""
        session = self._session
        app = guarded_app(self._server, __name__, session.program, self._index)
        app.add_url_rule("/socket", view_func=self._socket, websocket=True)
        app.add_url_rule("/state", "state", session.state)
        app.add_url_rule("/control", view_func=self._control, methods=["POST"])
        return app

    def wake(self) -> None:
        """Send the newest frame to the pages that are ready for it; any thread may call this."""
        for page in list(self._pages):
            page.changed.set()

    def _end(self, failure: str) -> None:
        """Tell the pages that the session ends, and close them.

        failure: why it ends, "" if somebody has ended it
        """
        recorder = self._session.recorder
        next_step = ""
        if recorder.folder is not None and recorder.recorded:
            with suppress(OSError, UserError):  # such as: the disk is gone
                next_step = self._next_step(recorder.folder)
        end = {
            "kind": "end",
            "failure": failure,
            "recording": recorder.state(),
            "next": next_step,
            "command": self._session.command(self._typed),
        }
        self._last_message = with_pictures(end)
        self.wake()
        until = time.monotonic() + _ENDING_SECONDS
        while self._pages and time.monotonic() < until:
            time.sleep(_ENDING_LOOK_SECONDS)

    def _index(self) -> str:
        """Return the page."""
        port = int(flask.request.environ["SERVER_PORT"])
        option = [] if port == self._session.default_port else ["--port", port]
        return render(
            "page.html",
            page=self._session,
            command=self._session.command(self._typed),
            simulator=shown_command("simulate", "drive", "--real-time", *option),
            highest_speed=f"{HIGHEST_SPEED_MPH:g}",
        )

    def _socket(self) -> Any:
        """Serve a page over its websocket until it closes."""
        try:
            websocket = self._server.accept_websocket(flask.request.environ)
        except (BadHandshake, OSError) as error:
            return plain_text(str(error), 400)
        page = _Page(websocket, self._server)
        self._session.hands.join(page)
        self._pages.append(page)
        # a second thread sends frames while this one receives
        thread = self._server.threads.Thread(target=self._send_frames, args=(page,), daemon=True)
        thread.start()
        try:
            while (text := websocket.wait()) is not None:
                try:
                    self._obey(page, text)
                except (ValueError, UserError) as error:
                    reason = str(error)[:_REFUSAL_CHARACTERS]
                    page.send(with_pictures({"kind": "refusal", "error": reason}))
                # a page that sends without pause must not block the others
                self._server.sleep(0)
        finally:
            page.close()
            thread.join()
            self._pages.remove(page)
            self._session.hands.leave(page)
        return ""

    def _control(self) -> Any:
        """Set the controls in the request's JSON; return the new state."""
        try:
            self._session.set(parse_controls(posted(), self._session.controls))
        except (ValueError, UserError) as error:
            return {"error": str(error)}, 400
        self.wake()
        return self._session.state()

    def _obey(self, page: "_Page", text: str | bytes) -> None:
        """Do what a page's message says; raises ValueError or UserError with the reason why not."""
        try:
            message = parse_json(text)
        except ValueError as error:
            reason = str(error)[:100]
            raise ValueError(f"{reason}; expected an object, as JSON") from None
        session = self._session
        hands = session.hands
        match message:
            case {"drawn": number}:
                if isinstance(number, bool) or not isinstance(number, int) or number < 0:
                    raise ValueError(f"{number!r}, expected a number from 0")
                page.note_drawn(number)
            case {"hands": values}:
                hands.move(page, HandInput.parse(values))
            case {"set": changes}:
                if not hands.steers(page):
                    raise ValueError("this page only watches; take the wheel first")
                session.set(parse_controls(changes, session.controls))
                self.wake()
            case {"wheel": "ask"}:
                hands.ask(page)
                self.wake()
            case _:
                raise ValueError("expected an object with drawn, hands, set, or wheel: ask")

    def _send_frames(self, page: "_Page") -> None:
        """Send the newest frames until the page closes; a slow page gets fewer."""
        number = 0
        try:
            while page.open:
                page.changed.wait(_LOOK_SECONDS)
                page.changed.clear()
                if self._last_message:
                    page.send(self._last_message)
                    break
                frame = self._session.newest() if page.ready else None
                if frame is not None and frame.number != number:
                    number = frame.number
                    page.send_frame(frame, self._session.hands.steers(page))
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

    def send_frame(self, frame: PageFrame, steers: bool) -> None:
        """Send a frame, with the pictures that are new.

        steers: whether this page steers
        """
        self._sent += 1
        state = frame.state | {"kind": "frame", "number": self._sent, "steers": steers}
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
        self._socket.close()
