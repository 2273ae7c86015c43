"""A recording on a page -> what a page gets to show of it; an edit of the page -> the new state.

Several pages, in several browsers, may show the same recording.
"""

import hashlib
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bcclone.camera.framing import FRAMING_NAME, Lens, read_framing
from bcclone.camera.geometry import FOCAL_PX, HEIGHT_M, simulated_camera
from bcclone.camera.images import FRAME_HEIGHT, FRAME_WIDTH, BadImage, read_file, read_picture
from bcclone.camera.vehicle import CAMERA_AHEAD_M
from bcclone.editor.fault_search import FaultSearch
from bcclone.editor.model_answers import ModelAnswers
from bcclone.exchange.edited_tub import open_edited
from bcclone.model.policy import Policy
from bcclone.recording.edits import DELETE, RESTORE, UNDO, Edit, Span
from bcclone.recording.row import CAMERAS, time_of
from bcclone.recording.run_tables import HUMAN, LEFT_OUT, MOTION, DrivenBy
from bcclone.system.codec import whole_number
from bcclone.system.errors import UserError
from bcclone.system.files import file_version


class Viewed:
    """A recording on a page. Within its `with` block, threads look for its faults and ask a model.

    Raises UserError for a recording that cannot be read.

    path: the recording, as the user typed it
    model: path of the model, whose name the page shows
    policy: the model
    """

    def __init__(self, path: str, model: Path | None = None, policy: Policy | None = None) -> None:
        self.recorded = open_edited(path)
        self.name = str(self.recorded.path)  # path of the log, or of the tub's folder
        self.rows = self.recorded.rows
        self._model = model
        self._lock = threading.Lock()  # held while the edits are changed or read
        # The faults whose remedies make up all edits from one version, which was judged, to another
        self._taken: list[str] = []
        self._taken_from = ""
        self._taken_to = ""
        # Part of every version of the edits, see _version(). A page that shows another version
        # cannot edit; so a page from before a restart cannot, nor one of another log.
        self._session_id = f"{uuid.uuid4().hex[:8]} {file_version(self.recorded.path)}"
        self._curvatures = self._read_curvatures()
        self._stretches_left_out = self._read_stretches_left_out()
        self._listed_version = self._version()  # version of the edits of the list below
        self._listed = self.recorded.edit()  # edit() without an edit only lists the rows
        self._edits_error = ""  # why the edits cannot be read, "" if they can
        self._most_apart: list[dict[str, Any]] = []  # where model and driver differ most
        self._most_apart_version = ""  # version of the edits with which that was computed
        self._faults = FaultSearch(self.recorded, self._version)
        self._answers = ModelAnswers(self.recorded, policy)
        self._threads = ExitStack()  # closing it ends them

    def __enter__(self) -> Self:
        with ExitStack() as threads:
            threads.enter_context(self._answers)
            threads.enter_context(self._faults)
            self._threads = threads.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.close()

    # ---- what does not change

    def about(self) -> dict[str, Any]:
        """Return name, size and cameras, and how the simulator's camera sees the road.

        The page needs the camera to draw the path of the car into the picture.
        """
        _, to_pixel = simulated_camera()
        model = self._model.name if self._model else ""
        return {
            "name": self.name,
            "rows": len(self.rows),
            "seconds": float(self.recorded.seconds[-1]),
            "has_speed": self._has_speed,
            "aspect": self._aspect(),
            "cameras": self.cameras,
            "model": model,
            "kind": self.recorded.kind,
            "camera": to_pixel.tolist(),
            # distance from the rear axle to the camera, in heights of the camera above the road
            "ahead": CAMERA_AHEAD_M / HEIGHT_M,
            "film_lens": self._film_lens(),
            "left_out": self._stretches_left_out,
        }

    @cached_property
    def _has_speed(self) -> bool:
        return bool(self.rows["speed_mph"].any())

    @cached_property
    def cameras(self) -> list[str]:
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

    def pictures(self, row: int) -> list[bytes]:
        """Return the content of a row's image file for each camera, b"" if it cannot be read."""
        return [_content_of(self.recorded.image_path(row, camera)) for camera in self.cameras]

    def _aspect(self) -> float:
        """Return the width of the pictures of the centre camera, divided by their height."""
        path = self.recorded.image_path(len(self.rows) // 2, "center")
        if path:
            with suppress(BadImage):
                height, width = read_picture(path).shape[:2]
                return float(round(width / height, 4))
        return FRAME_WIDTH / FRAME_HEIGHT

    def _read_curvatures(self) -> dict[str, float]:
        """Return name of the centre image -> curvature of the path that was estimated from film.

        Returns {} if the steering was recorded and not estimated.
        """
        return MOTION.read(self.recorded.folder, lambda cells: float(cells["curvature"]))

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

    def _read_stretches_left_out(self) -> list[dict[str, Any]]:
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
            "throttle": rows["throttle"] - rows["brake"],
        }
        if self._has_speed:
            curves["speed"] = rows["speed_mph"]
        if self._answers.rows_to_ask:
            curves["model"] = self._answers.steering.copy()
        if self._curvatures:
            curves["path"] = [self._curvatures.get(name, np.nan) for name in rows["center"]]
        numbers: dict[str, Any] = {}
        if recorded.record_numbers is not None:
            numbers["record"] = recorded.record_numbers
        numbers["driver"] = [_driver_number(driven) for driven in recorded.driven]
        numbers["take_over"] = [_take_over_number(driven) for driven in recorded.driven]
        as_floats = {name: np.asarray(curve, np.float32) for name, curve in curves.items()}
        return as_floats | {name: np.asarray(curve, np.uint32) for name, curve in numbers.items()}

    def state(self) -> dict[str, Any]:
        """Return the edits, the faults, and for how many rows the model has answered.

        The edits include those that other pages or programs have made.
        """
        with self._lock:
            return self._state()

    def _state(self) -> dict[str, Any]:
        """Return state(); the caller holds the lock."""
        version = self._version()
        self._list_rows(version)
        listed = self._listed
        # RowSpan counts from 1, the page from 0
        deleted = [[span.first - 1, span.last - 1] for span in listed.spans if not span.kept]
        return {
            "version": version,
            # changes whenever the page needs the curves again
            "curves": f"{listed.steering}; {self._answers.version}",
            "deleted": deleted,
            "kept": listed.rows - listed.deleted,
            "edits": listed.edits,
            "undoable": self.recorded.undoable,
            "steering": listed.steering,
            "check": self._check_state(version),
            "model": self._model_state(version),
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

    def _check_state(self, version: str) -> dict[str, Any]:
        """Return the faults; "stale" says that they are those of earlier edits."""
        judgement = self._faults.judgement
        taken = self._taken_since(judgement.version, version)
        check = {
            "done": self._faults.rows_seen,
            "of": len(self.rows),
            **self._faults.shown(taken),
            "stale": judgement.version not in (version, ""),
        }
        if self._edits_error:
            check |= {"verdict": self._edits_error, "findings": [], "parts": []}
        return check

    def _model_state(self, version: str) -> dict[str, Any]:
        """Return for how many rows the model has answered, and where it differs from the driver."""
        answers = self._answers
        if answers.is_complete and self._most_apart_version != version:
            self._most_apart = answers.most_apart()
            self._most_apart_version = version
        return {
            "done": answers.rows_asked,
            "of": answers.rows_to_ask,
            "error": answers.error,
            "apart": self._most_apart,
        }

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
                if self._is_outdated(wish):
                    reason = (
                        "the edits have changed meanwhile: look at them as they are now, and try "
                        "again"
                    )
                    return {"error": reason, "state": self._state()}, 409
                before = self._version()
                self.recorded.edit(edits)
            except (ValueError, UserError) as error:
                return {"error": str(error)}, 400
            if "remedy" in wish:
                self._note_taken(wish["remedy"], before)
            return self._state(), 200

    def _taken_since(self, judged: str, version: str) -> Sequence[str]:
        """Return the faults whose remedies make up all edits since a judgement, () for other edits.

        judged: version of the edits that were judged
        version: that of the edits as they are
        """
        is_all = (judged, version) == (self._taken_from, self._taken_to)
        return self._taken if is_all else ()

    def _note_taken(self, fault: str, before: str) -> None:
        """Note that an edit took the remedy of a fault. before: the version before the edit"""
        judged = self._faults.judgement.version
        if judged == before:
            self._taken = []
        self._taken = [*self._taken, fault]
        self._taken_from = judged
        self._taken_to = self._version()

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

    def _is_outdated(self, wish: Any) -> bool:
        """Return whether a page asks for an edit of rows that have changed meanwhile.

        The page, or the judgement that has found the fault to mend, is then of other edits.
        """
        version = self._version()
        if wish.get("version") != version:
            return True
        # until the next judgement, nothing but remedies of other faults may have been taken since
        judged = self._faults.judgement.version
        if "remedy" not in wish or version == judged:
            return False
        taken = self._taken_since(judged, version)
        return not taken or wish["remedy"] in taken


def _spans_of(spans: Any) -> tuple[Span, ...]:
    """Return the spans of rows in a request: [first, last] each; raises ValueError."""
    if not isinstance(spans, list) or not spans or not all(map(_is_pair, spans)):
        raise ValueError(f"{str(spans)[:40]}, expected spans [first, last]")
    return tuple(
        (whole_number("a row", first), whole_number("a row", last)) for first, last in spans
    )


def _is_pair(span: Any) -> bool:
    return isinstance(span, list) and len(span) == 2


def _content_of(path: str | None) -> bytes:
    """Return the content of an image file, b"" if there is none or it cannot be read."""
    if path is None:
        return b""
    try:
        return read_file(path)
    except OSError:
        return b""


def _driver_number(driven: DrivenBy | None) -> int:
    """Return who drove in a row: 1 for a person, 2 for a model, 0 if it is not known."""
    if driven is None:
        return 0
    return 1 if driven.driver == HUMAN else 2


def _take_over_number(driven: DrivenBy | None) -> int:
    """Return the number of the take-over in which a row was driven, 0 for none."""
    if driven is None or driven.take_over is None:
        return 0
    return driven.take_over
