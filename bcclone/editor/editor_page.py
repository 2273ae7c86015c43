"""Serve the page that shows a recording and edits it: `bcclone edit RECORDING --page`.

serve_page() takes a recording, or two to compare. A browser gets the page, its state as JSON, and
pictures and curves as bytes; it sends edits. docs/reference/page.md describes the URLs and their
answers. Several pages, in several browsers, may show the same recording.
"""

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bcclone.camera.framing import FRAMING_NAME, Lens, read_framing
from bcclone.camera.geometry import FOCAL_PX, HEIGHT_M, simulated_camera
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, read_file, read_picture
from bcclone.camera.vehicle import CAMERA_AHEAD_M
from bcclone.diagnosis.check import RECORD_ALSO
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.judging import GREATEST_FULL_SHARE
from bcclone.editor.fault_search import FaultSearch, Judgement
from bcclone.editor.model_answers import ModelAnswers
from bcclone.exchange.edited_tub import open_edited
from bcclone.model.model_path import check_model_path
from bcclone.model.policy import Policy, load_driving_policy
from bcclone.recording.edits import DELETE, RESTORE, UNDO, Edit, Span
from bcclone.recording.row import CAMERAS, time_of
from bcclone.recording.run_tables import HUMAN, LEFT_OUT, MODEL, MOTION
from bcclone.system.codec import whole_number
from bcclone.system.errors import UserError, command_beginnings
from bcclone.system.files import file_version
from bcclone.system.hardware import open_in_browser
from bcclone.system.interrupts import accept_interrupt
from bcclone.system.progress import Notify
from bcclone.web.access import Access
from bcclone.web.page import guarded_app, posted, render, with_pictures
from bcclone.web.server import WebServer, listen

_PORT = 4569  # the page's usual port
_MAX_BODY_BYTES = 1_000_000  # largest request that asks for an edit; it may have thousands of spans
_BINARY = {"Content-Type": "application/octet-stream"}  # header of a binary response
_DRIVERS = {HUMAN: 1, MODEL: 2}  # numbers of who drives; 0 where it is not known


def serve_page(
    recordings: Sequence[str],
    model: Path | None = None,
    port: int = 0,
    browser: bool = True,
    notify: Notify = print,
    stop: threading.Event | None = None,
    access: Access | None = None,
    next_step: Callable[[str, Path], str] = lambda recording, log: "",
) -> None:
    """Serve the page of recordings, one below the other, until Ctrl-C, SIGTERM or `stop`.

    A model is loaded when the recordings are on the page; if it cannot be read, the page and a line
    say so. Raises UserError for a recording that cannot be read, and for a port that is in use.

    model: shows how it would steer, too
    port: 0 for the usual one, or a free one if it is in use
    browser: open the page in a browser
    notify: called with lines for the user
    stop: an event that any thread may set to end the server
    access: who may see the page; None for browsers on this machine
    next_step: returns the command that comes after a recording without faults, "" for none; called
        with the recording and the path of its log
    """
    if model is not None:
        check_model_path(model, inside=False)
    access = access or Access(allow_from=None)
    with (
        WebServer(("127.0.0.1", port or _usual_port()), access, notify, stop) as server,
        ExitStack() as stack,
    ):
        server.loading("Reading the recording.", "This usually takes some seconds.")
        viewed = [stack.enter_context(Viewed(name, model, next_step)) for name in recordings]
        server.show(_app(server, viewed))
        if browser:
            open_in_browser(server.url)
        server.notify(f"look at the recording here: {server.url}; Ctrl-C ends")
        if model is not None:
            _let_answer(model, viewed, server)
        server.wait()


def _let_answer(model: Path, viewed: Sequence["Viewed"], server: WebServer) -> None:
    """Load the model, and ask it for the steering of the recordings on the page."""
    try:
        policy, _ = load_driving_policy(model, None)
    except UserError as error:  # the recordings can be edited without it
        server.notify(f"the model does not answer: {error}")
        for each in viewed:
            each.fail(f"cannot be read: {error}")
    except KeyboardInterrupt:  # it ends the page, as later
        accept_interrupt()
        server.stop()
    else:
        for each in viewed:
            each.ask(policy)


def _usual_port() -> int:
    """Return the page's usual port, or 0, for any free port, if the usual one is in use.

    The port is usually the same, so that a page that is still open in a browser works again when
    the command is started again.
    """
    with suppress(UserError):
        listen("127.0.0.1", _PORT).close()
        return _PORT
    return 0


def _app(server: WebServer, recordings: Sequence["Viewed"]) -> Any:
    """Return the page's app; it shows each recording in a panel, one below the other."""
    index = partial(
        render,
        "editor.html",
        title=recordings[0].name,
        record_also=RECORD_ALSO,
        programs=command_beginnings(),
    )
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
    route("/curves/<int:panel>", lambda viewed: (_as_bytes(viewed.curves()), _BINARY))
    route("/frames/<int:panel>/<int:row>", lambda viewed, row: (viewed.pictures(row), _BINARY))
    route("/edit/<int:panel>", lambda viewed: viewed.edit(posted), methods=["POST"])
    return app


def _as_bytes(curves: dict[str, NDArray[Any]]) -> bytes:
    """Return a message with curves.

    It has three parts: the length of the second part in 4 bytes, the most significant first; a JSON
    object that lists name, type and length of each curve; and the curves, one after the other.
    """
    columns = [(name, f"{curve.dtype.kind}4", len(curve)) for name, curve in curves.items()]
    head = json.dumps({"columns": columns}).encode()
    head += b" " * (-len(head) % 4)  # arrays in JavaScript begin at multiples of 4
    contents = [curve.tobytes() for curve in curves.values()]
    return b"".join([len(head).to_bytes(4, "big"), head, *contents])


class Viewed:
    """A recording on a page. Within its `with` block, threads look for its faults and ask a model.

    Raises UserError for a recording that cannot be read.

    path: the recording, as the user typed it
    model: path of the model that ask() will bring, whose name the page shows; None for none
    next_step: as serve_page() takes it
    """

    def __init__(
        self,
        path: str,
        model: Path | None = None,
        next_step: Callable[[str, Path], str] = lambda recording, log: "",
    ) -> None:
        self.recorded = open_edited(path)
        # a tub is imported before it is trained on, which its owner has to name
        is_log = self.recorded.kind == "recording"
        self._next = next_step(path, self.recorded.path) if is_log else ""
        # path of the log, or of the tub's folder, as it was typed; where that names no folder, as
        # `.` and `..` do, with the folder's name
        place = self.recorded.path
        if {place.name, place.parent.name} & {"", ".."}:
            place = Path(*place.resolve().parts[-2:])
        self.name = str(place)
        self.rows = self.recorded.rows
        self._model = model.name if model else ""
        self._lock = threading.Lock()  # held while the edits are changed or read
        # Part of every version of the edits, see _version(). A page that shows another version
        # cannot edit; so a page from before a restart cannot, nor one of another log.
        self._session_id = f"{uuid.uuid4().hex[:8]} {file_version(self.recorded.path)}"
        # name of the centre image -> curvature of the path that was estimated from film; {} if the
        # steering was recorded and not estimated
        self._curvatures: dict[str, float] = MOTION.read(
            self.recorded.folder, lambda cells: float(cells["curvature"])
        )
        self._listed_version = self._version()  # version of the edits of the list below
        self._listed = self.recorded.edit()  # edit() without an edit only lists the rows
        self._edits_error = ""  # why the edits cannot be read, "" if they can
        self._closed = threading.Event()
        self._faults = FaultSearch(self.recorded, self._version, self._closed)
        self._answers = ModelAnswers(self.recorded, model is not None, self._closed)
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._faults.run)
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._faults.look_again()  # wakes it
        for thread in self._threads:
            thread.join()

    def ask(self, policy: Policy) -> None:
        """Ask the model for the steering of each row, in a thread."""
        self._start(partial(self._answers.run, policy))

    def fail(self, error: str) -> None:
        """Show that no model answers. error: why, after its name"""
        self._answers.fail(error)

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    # ---- what does not change

    def about(self) -> dict[str, Any]:
        """Return name, size and cameras, and how the simulator's camera sees the road.

        The page needs the camera to draw the path of the car into the picture.
        """
        _, to_pixel = simulated_camera()
        return {
            "name": self.name,
            "rows": len(self.rows),
            "seconds": float(self.recorded.seconds[-1]),
            "has_pauses": not DriveRows.of(self.rows, self.rows[:0]).follows.all(),
            "has_speed": self._has_speed,
            "has_throttle": self._has_throttle,
            "has_path": bool(self._curvatures),
            "aspect": self._aspect(),
            "cameras": self._cameras,
            "model": self._model,
            "kind": self.recorded.kind,
            "camera": to_pixel.tolist(),
            # distance from the rear axle to the camera, in heights of the camera above the road
            "ahead": CAMERA_AHEAD_M / HEIGHT_M,
            "film_lens": self._film_lens(),
            "greatest_full_share": GREATEST_FULL_SHARE,
            "next": self._next,
            "left_out": self._left_out(),
        }

    @cached_property
    def _has_speed(self) -> bool:
        return bool(self.rows["speed_mph"].any())

    @cached_property
    def _has_throttle(self) -> bool:
        """Return whether the throttle was recorded: a film and a tub without it have 0 alone."""
        return bool(self.rows[["throttle", "brake"]].to_numpy().any())

    @cached_property
    def _cameras(self) -> list[str]:
        """Return the cameras that have an image in the first, middle or last row.

        If none has, return the centre camera.
        """
        tried = (0, len(self.rows) // 2, len(self.rows) - 1)
        cameras = [
            camera
            for camera in CAMERAS
            if any(self.recorded.image_path(row, camera) for row in tried)
        ]
        return cameras or ["center"]

    def pictures(self, row: int) -> bytes:
        """Return a message with the image files of a row's cameras; b"" for one not readable."""
        contents = []
        for camera in self._cameras:
            path = self.recorded.image_path(row, camera)
            content = b""
            if path is not None:
                with suppress(OSError):
                    content = read_file(path)
            contents.append(content)
        return with_pictures({"row": row}, *contents)

    def _aspect(self) -> float:
        """Return the width of the pictures of the centre camera, divided by their height."""
        path = self.recorded.image_path(len(self.rows) // 2, "center")
        if path:
            with suppress(BadImage):
                height, width = read_picture(path).shape[:2]
                return float(round(width / height, 4))
        return FRAME_WIDTH / FRAME_HEIGHT

    def _film_lens(self) -> dict[str, Any] | None:
        """Return the lens through which a film's steering was estimated; None without such a film.

        Its angle of view, from the left to the right edge of the film, is in degrees.
        """
        if not self._curvatures:
            return None
        framing_file = self.recorded.folder / FRAMING_NAME
        if not framing_file.exists():
            return {"degrees": Lens(FOCAL_PX, 0, 0).degrees_across(FRAME_WIDTH), "fisheye": False}
        framing = read_framing(framing_file)
        if framing.lens is None:
            return None
        degrees = framing.lens.degrees_across(framing.width)
        return {"degrees": degrees, "fisheye": framing.lens.fisheye}

    def _left_out(self) -> list[dict[str, Any]]:
        """Return the stretches of a film that became no rows, in order of time, each with why.

        `first` and `last` are seconds since the first row; `pictures` is their number. Stretches
        with the same reason that are less than a second apart are one.
        """
        apart_seconds = 1.0
        left_out = LEFT_OUT.read(
            self.recorded.folder, lambda cells: (time_of(cells["image"]), cells["reason"])
        )
        start_ms = int(self.rows["time_ms"].iloc[0])
        stretches: list[dict[str, Any]] = []
        latest: dict[str, dict[str, Any]] = {}  # reason -> its last stretch
        for time_ms, reason in sorted(left_out.values()):
            seconds = (time_ms - start_ms) / 1000
            stretch = latest.get(reason)
            if stretch is None or seconds - stretch["last"] > apart_seconds:
                stretch = {"first": seconds, "last": seconds, "pictures": 0, "reason": reason}
                latest[reason] = stretch
                stretches.append(stretch)
            stretch["last"] = seconds
            stretch["pictures"] += 1
        return stretches

    # ---- what changes

    def curves(self) -> dict[str, NDArray[Any]]:
        """Return the curves, (rows,) each, by their names in docs/reference/page.md."""
        recorded = self.recorded
        rows = self.rows
        # the steering depends on recorded.edits, which an edit in another thread changes in two
        # steps
        with self._lock:
            steering = recorded.steering
        curves: dict[str, Any] = {
            "seconds": recorded.seconds,
            "steering": steering,
        }
        if self._has_throttle:
            curves["throttle"] = rows["throttle"] - rows["brake"]
        if self._has_speed:
            curves["speed"] = rows["speed_mph"]
        if self._answers.rows_to_ask:
            curves["model"] = self._answers.steering.copy()
        if self._curvatures:
            curves["path"] = [self._curvatures.get(name, np.nan) for name in rows["center"]]
        numbers: dict[str, Any] = {}
        if recorded.record_numbers is not None:
            numbers["record"] = recorded.record_numbers
        numbers["driver"] = [_DRIVERS[by.driver] if by else 0 for by in recorded.driven]
        numbers["take_over"] = [(by.take_over or 0) if by else 0 for by in recorded.driven]
        as_floats = {name: np.asarray(curve, np.float32) for name, curve in curves.items()}
        return as_floats | {name: np.asarray(curve, np.uint32) for name, curve in numbers.items()}

    def state(self) -> dict[str, Any]:
        """Return the edits, the faults, and for how many rows the model has answered.

        The edits include those that other pages or programs have made.
        """
        with self._lock:
            return self._state()

    def _state(self) -> dict[str, Any]:
        version = self._version()
        self._list_rows(version)
        listed = self._listed
        # RowSpan counts from 1, the page from 0
        deleted = [[span.first - 1, span.last - 1] for span in listed.spans if not span.kept]
        judgement = self._faults.judgement
        check = {
            "done": self._faults.rows_seen,
            "of": len(self.rows),
            **judgement.as_json(),
            "stale": judgement.version not in (version, ""),
        }
        if self._edits_error:
            check |= Judgement(version, self._edits_error).as_json()
        answers = self._answers
        return {
            "version": version,
            # changes whenever the page needs the curves again
            "curves": f"{listed.steering}; {answers.version}",
            "deleted": deleted,
            "kept": listed.rows - listed.deleted,
            "edits": listed.edits,
            "undoable": self.recorded.undoable,
            "steering": listed.steering,
            "check": check,
            "model": {
                "done": answers.rows_asked,
                "of": answers.rows_to_ask,
                "error": answers.error,
                "apart": answers.most_apart() if answers.is_complete else [],
            },
        }

    def _list_rows(self, version: str) -> None:
        """List the rows and look for faults again if `version`, of the edits, is a new one."""
        if version == self._listed_version:
            return
        self._listed_version = version
        self._edits_error = ""
        try:
            self._listed = self.recorded.edit()
        except UserError as error:  # another program has damaged its edits
            self._edits_error = str(error)
        self._faults.look_again()

    def _version(self) -> str:
        """Return a text that changes whenever the edits change."""
        try:
            edits = self.recorded.edits_file.read_bytes()
        except OSError:  # there is no edit, or on Windows, another program is writing the file
            edits = b""
        return f"{self._session_id} {hashlib.sha256(edits).hexdigest()[:16]}"

    # ---- edits

    def edit(self, read: Callable[[], Any]) -> tuple[dict[str, Any], int]:
        """Make the edit that a page asks for.

        Returns the new state, or what was wrong, and the HTTP status.

        read: returns the JSON of the request: an object with the version of the edits that the
            page shows, and one of delete, restore, remedy and undo; raises ValueError
        """
        try:
            wish = read()
        except ValueError as error:
            return {"error": str(error)}, 400
        with self._lock:
            try:
                edits = self._edits_of(wish)
                version = self._version()
                # a remedy mends what was found with the edits as they are
                judged = self._faults.judgement.version if "remedy" in wish else version
                if not wish.get("version") == version == judged:
                    reason = (
                        "the edits have changed meanwhile: look at them as they are now, and try "
                        "again"
                    )
                    return {"error": reason, "state": self._state()}, 409
                self.recorded.edit(edits)
            except (ValueError, UserError) as error:
                return {"error": str(error)}, 400
            return self._state(), 200

    def _edits_of(self, wish: Any) -> Sequence[Edit]:
        """Return the edits that a page asks for; raises ValueError for a wrong request.

        wish: JSON of the request, of any form
        """
        match wish:
            case {"delete": spans}:
                return [Edit(DELETE, _spans_of(spans))]
            case {"restore": spans}:
                return [Edit(RESTORE, _spans_of(spans))]
            case {"undo": True}:
                return [Edit(UNDO)]
            case {"remedy": str(fault)}:
                edits = self._faults.edits_of(fault)
                # the page has a button only for a finding that edits mend; so if there are no
                # edits, the fault is unknown or no longer found, and the request is refused
                if edits:
                    return edits
        raise ValueError("expected an object with version, and delete, restore, remedy or undo")


def _spans_of(spans: Any) -> tuple[Span, ...]:
    """Return the spans of rows in a request: [first, last] each; raises ValueError."""
    are_pairs = isinstance(spans, list) and all(
        isinstance(span, list) and len(span) == 2 for span in spans
    )
    if not spans or not are_pairs:
        raise ValueError(f"{str(spans)[:40]}, expected spans [first, last]")
    return tuple(
        (whole_number("a row", first), whole_number("a row", last)) for first, last in spans
    )
