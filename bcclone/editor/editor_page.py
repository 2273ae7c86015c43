"""Look at a recording on a page, cut it and mend it: `bcclone edit RECORDING --page`.

The page is that of drives and plays, with another script: docs/reference/page.md describes its
addresses.
"""

import hashlib
import json
import threading
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property, partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bcclone.camera.framing import framing_of
from bcclone.camera.geometry import HEIGHT_M, simulated_camera
from bcclone.camera.images import read_file
from bcclone.camera.vehicle import CAMERA_AHEAD_M
from bcclone.diagnosis.check import Looked, check_log, look_at
from bcclone.exchange.edited_tub import EditedTub, open_edited
from bcclone.model.policy import Policy, load_policy
from bcclone.recording import EditSettings, PageSettings
from bcclone.recording.files import ImageIndex
from bcclone.recording.log import EPISODE_GAP_MS, corrected_steering
from bcclone.recording.row import CAMERAS
from bcclone.recording.run_tables import HUMAN, MOTION
from bcclone.system.arrays import Float32Array, Memory
from bcclone.system.atomic import file_version
from bcclone.system.codec import whole_number
from bcclone.system.errors import UserError, first_line
from bcclone.system.hardware import open_in_browser
from bcclone.system.progress import Notify
from bcclone.web import threading_host
from bcclone.web.access import Access
from bcclone.web.guarded_app import guarded_app, posted, render, with_pictures
from bcclone.web.web_server import WebServer, listen

_PORT = 4569
_BODY_BYTES = 1_000_000  # of an edit: thousands of spans
_BYTES = {"Content-Type": "application/octet-stream"}
_APART_SECONDS, _PARTS_APART, _LEAST_APART = (
    1.0,
    12,
    0.1,
)  # of the means that are compared; parts that are listed
_ANSWERS = 500  # of the model, before pages fetch them again


class Viewed:
    """A recording on a page. Its threads judge it, and ask a model, until close().

    name: as the user gave it, then the path of its log. Raises UserError for a recording that
    cannot be read.
    """

    def __init__(self, name: str, model: Path | None = None, policy: Policy | None = None) -> None:
        self.recorded = open_edited(name)
        self.name, self.rows, self._model = str(self.recorded.path), self.recorded.rows, model
        size = len(self.rows)
        self._lock, self._closed, self._changed = (
            threading.Lock(),
            threading.Event(),
            threading.Event(),
        )
        self._opened = (
            f"{uuid.uuid4().hex[:8]} {file_version(self.recorded.path)}"  # differs after a restart
        )
        self._listed = (
            "",
            self.recorded.edit(EditSettings(name)),
        )  # the version of the edits, and the rows with them
        self._paths = MOTION.read(
            self.recorded.path.parent, lambda cells: float(cells["curvature"])
        )
        self._checked: dict[str, Any] = {
            "done": 0,
            "of": size,
            "verdict": "",
            "findings": [],
            "unknown": [],
        }
        self._judged = ""  # the version of the edits that was judged last
        self._remedies: dict[str, dict[str, Any]] = {}  # of each fault, as fields of EditSettings
        self._looked: Looked | None = None
        self._answers: Float32Array = np.full(size, np.nan, np.float32)
        self._asked: dict[str, Any] = {
            "done": 0,
            "of": size if policy else 0,
            "error": "",
            "apart": [],
        }
        self._threads = [threading.Thread(target=self._check, daemon=True)]
        self._threads += (
            [threading.Thread(target=self._ask, args=(policy,), daemon=True)] if policy else []
        )
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End the threads."""
        self._closed.set()
        self._changed.set()
        for thread in self._threads:
            thread.join()

    # ---- what pages get

    def about(self) -> dict[str, Any]:
        """Return what does not change: name, size, cameras, and how a camera sees the road."""
        recorded, size = self.recorded, len(self.rows)
        return {
            "name": self.name, "rows": size, "seconds": float(recorded.seconds[-1]), "cameras": self.cameras,
            "model": self._model.name if self._model else "",
            "kind": "tub" if isinstance(recorded, EditedTub) else "recording",
            "camera": simulated_camera()[1].tolist(), "ahead": CAMERA_AHEAD_M / HEIGHT_M,
        }  # fmt: skip

    @cached_property
    def cameras(self) -> list[str]:
        tried = (0, len(self.rows) // 2, len(self.rows) - 1)
        return [camera for camera in CAMERAS if any(self._path(row, camera) for row in tried)] or [
            "center"
        ]

    def pictures(self, row: int) -> list[bytes]:
        """Return the files of a row's pictures, one for each camera, b"" for one that cannot be
        read.
        """
        contents = []
        for camera in self.cameras:
            path = self._path(row, camera)
            try:
                contents.append(read_file(path) if path else b"")
            except OSError:
                contents.append(b"")
        return contents

    def curves(self) -> dict[str, NDArray[Any]]:
        """Return the curves, (rows,) each, by their names in docs/reference/page.md."""
        recorded, rows = self.recorded, self.rows
        with self._lock:
            steering = corrected_steering(rows, recorded.edits)
        curves = {
            "seconds": recorded.seconds,
            "steering": steering,
            "throttle": rows["throttle"] - rows["brake"],
        }
        curves |= {"speed": rows["speed_mph"]} if rows["speed_mph"].any() else {}
        curves |= {"model": self._answers.copy()} if self._asked["of"] else {}
        if self._paths:
            curves["path"] = np.array([self._paths.get(name, np.nan) for name in rows["center"]])
        who: dict[str, Any] = (
            {"record": recorded.numbers} if isinstance(recorded, EditedTub) else {}
        )
        who |= {
            "driver": [
                0 if one is None else 1 if one.driver == HUMAN else 2 for one in recorded.driven
            ],
            "take_over": [(one and one.take_over) or 0 for one in recorded.driven],
        }
        return {name: np.asarray(curve, np.float32) for name, curve in curves.items()} | {
            name: np.asarray(values, np.uint32) for name, values in who.items()
        }

    def state(self) -> dict[str, Any]:
        """Return what changes: edits, also those of others, what --check finds, and how far the
        model is.
        """
        with self._lock:
            return self._state()

    def _state(self) -> dict[str, Any]:
        (version, listed), asked = self._listed, self._asked
        if (found := self._version()) != version:
            try:
                listed = self.recorded.edit(EditSettings(self.name))
            except UserError as error:  # another program has damaged its edits
                self._checked |= {"verdict": str(error), "findings": []}
            self._listed = found, listed
            self._changed.set()
            if asked["done"] == asked["of"] > 0:
                asked["apart"] = self._apart()
        answers = asked["done"] if asked["done"] == asked["of"] else asked["done"] // _ANSWERS
        return {
            "version": found,
            "curves": f"{listed.steering}; {answers}",
            "deleted": [[span.first - 1, span.last - 1] for span in listed.spans if not span.kept],
            "kept": listed.rows - listed.deleted,
            "edits": listed.edits,
            "steering": listed.steering,
            "check": self._checked | {"stale": self._judged not in (found, "")},
            "model": asked,
        }

    def _version(self) -> str:
        try:
            edits = self.recorded.edits_file.read_bytes()
        except OSError:  # none, or Windows while another program writes it
            edits = b""
        return f"{self._opened} {hashlib.sha256(edits).hexdigest()[:16]}"

    def edit(self, read: Callable[[], Any]) -> tuple[dict[str, Any], int]:
        """Make one edit; return the new state, or what was wrong, and the status of HTTP.

        read: returns the version of the edits that the page shows, and one of delete, restore,
        remedy and undo.
        """
        try:
            wish = read()
        except ValueError as error:
            return {"error": str(error)}, 400
        with self._lock:
            try:
                settings, version = self._settings_of(wish), self._version()
                if wish.get("version") != version or ("remedy" in wish and self._judged != version):
                    reason = "the edits have changed meanwhile: look at them as they are now, and try again"
                    return {"error": reason, "state": self._state()}, 409
                self.recorded.edit(settings)
            except (ValueError, UserError) as error:
                return {"error": str(error)}, 400
            return self._state(), 200

    def _settings_of(self, wish: Any) -> EditSettings:
        """Return what a page wishes; raises ValueError."""
        match wish:
            case {"delete": spans}:
                chosen: dict[str, Any] = {"delete": _positions(spans)}
            case {"restore": spans}:
                chosen = {"restore": _positions(spans)}
            case {"remedy": str(fault)} if self._remedies.get(fault):
                chosen = self._remedies[fault]
            case {"undo": True}:
                chosen = {"undo": True}
            case _:
                raise ValueError(
                    "expected an object with version, and delete, restore, remedy or undo"
                )
        return EditSettings(self.name, **chosen)

    def _path(self, row: int, camera: str) -> str | None:
        if isinstance(self.recorded, EditedTub):
            return self.recorded.images[row].get(camera)
        return self._index.find(str(self.rows[camera].iat[row]))

    @cached_property
    def _index(self) -> ImageIndex:
        return ImageIndex(self.recorded.path)

    # ---- what --check finds

    def _check(self) -> None:
        if isinstance(self.recorded, EditedTub):
            unknown = list(filter(None, [self.recorded.unusable]))
            verdict = "faults are not looked for in a tub: import it to check it"
            self._checked |= {"done": self._checked["of"], "verdict": verdict, "unknown": unknown}
        while not (self._closed.is_set() or isinstance(self.recorded, EditedTub)):
            self._changed.clear()
            version = self._version()
            try:
                if not self._opened.endswith(f" {file_version(self.recorded.path)}"):
                    raise UserError(
                        "the log has changed since this page was opened: start bcclone edit again"
                    )
                diagnosis = check_log(self.recorded.path, self._look, self._index).diagnosis
            except (UserError, OSError) as error:  # all rows are deleted, or the log is gone
                self._checked |= {"verdict": str(error), "findings": []}
            except _Closed:
                return
            else:
                findings = diagnosis.findings if diagnosis else ()
                remedies = [finding.as_edit() for finding in findings]
                with self._lock:
                    self._remedies = {
                        one.fault: chosen
                        for one, (_, chosen) in zip(findings, remedies, strict=True)
                    }
                    self._checked |= {
                        "verdict": diagnosis.verdict if diagnosis else "",
                        "unknown": list(diagnosis.unknown) if diagnosis else [],
                        "findings": [
                            {"fault": one.fault, "text": one.text, "remedy": one.remedy, "button": button,
                             "rows": [[first - 1, last - 1] for first, last in one.rows]}
                            for one, (button, _) in zip(findings, remedies, strict=True)
                        ],
                    }  # fmt: skip
            self._judged = version
            self._changed.wait()

    def _look(self, rows: pd.DataFrame) -> Looked:
        """Return what the frames of some rows show, after a look at all of them, which is kept."""
        if self._looked is None:
            self._looked = look_at(self.rows, self._index, self._advance)
        figures, reasons = self._looked
        lines = set(rows["line"])
        kept = np.flatnonzero(self.rows["line"].isin(lines))
        return figures.of_rows(kept), {line: why for line, why in reasons.items() if line in lines}

    def _advance(self, count: int) -> None:
        if self._closed.is_set():
            raise _Closed
        self._checked["done"] += count

    # ---- how a model would steer

    def _ask(self, policy: Policy) -> None:
        try:
            self._answer(policy)
        except Exception as error:  # of a model of others, and of any kind
            self._asked |= {"error": f"it fails: {first_line(error)}", "of": self._asked["done"]}

    def _answer(self, policy: Policy) -> None:
        from bcclone.evaluation.predict import NamedFrame, PictureInputs  # loads the simulator

        is_framed = (
            not isinstance(self.recorded, EditedTub) and framing_of(self.recorded.path) is not None
        )
        inputs = PictureInputs(policy.preprocessing, None if is_framed else policy.framing, None)
        pauses = np.diff(self.recorded.times, prepend=self.recorded.times[0]) > EPISODE_GAP_MS
        memory: Memory = ()
        for row, begins in enumerate(pauses.tolist()):
            if self._closed.is_set():
                return
            path, memory = self._path(row, "center"), () if begins else memory
            image = inputs.read(NamedFrame("", path, begins)) if path else "missing"
            if not isinstance(image, str):
                answer, memory = policy.next_answer(image[0], memory)
                self._answers[row] = answer.steering
            self._asked["done"] = row + 1
        self._asked["apart"] = self._apart()

    def _apart(self) -> list[dict[str, Any]]:
        """Return the seconds in which the model's steering is farthest from the recorded one, the
        farthest first.
        """
        differences = np.abs(self._answers - corrected_steering(self.rows, self.recorded.edits))
        seconds, known = (
            (self.recorded.seconds / _APART_SECONDS).astype(int),
            np.isfinite(differences),
        )
        known &= ~self.recorded.edits.deleted(self.recorded.times)
        counts = np.maximum(np.bincount(seconds, known), 1)
        means = np.bincount(seconds, np.where(known, differences, 0.0)) / counts
        begins = np.searchsorted(seconds, np.arange(len(means) + 1))
        return [
            {
                "first": int(begins[second]),
                "last": int(begins[second + 1]) - 1,
                "seconds": second * _APART_SECONDS,
                "difference": round(means[second], 3),
            }
            for second in np.argsort(-means, kind="stable")[:_PARTS_APART].tolist()
            if means[second] > _LEAST_APART
        ]


class _Closed(Exception):
    """The page has been closed."""


def _positions(spans: Any) -> tuple[str, ...]:
    """Return spans of rows from 0 as the positions of an edit; raises ValueError."""
    if (
        not isinstance(spans, list)
        or not spans
        or not all(isinstance(span, list) and len(span) == 2 for span in spans)
    ):
        raise ValueError(f"{str(spans)[:40]}, expected spans [first, last]")
    return tuple(str(whole_number("a row", row) + 1) for span in spans for row in span)


def look(
    recording: str,
    page: PageSettings,
    browser: bool,
    notify: Notify = print,
    stop: Event | None = None,
) -> None:
    """Serve the page of one recording, or of two, until Ctrl-C, SIGTERM or `stop`.

    notify: called with lines for the user. Raises UserError for a recording or a model that cannot
    be read, and for a port that is in use.
    """
    port, names = page.port or _usual_port(), filter(None, (recording, page.other))
    with (
        WebServer(threading_host, ("127.0.0.1", port), Access(), notify, stop) as server,
        ExitStack() as stack,
    ):
        policy = load_policy(page.model) if page.model else None
        viewed = list[Viewed]()
        for name in names:
            viewed.append(Viewed(name, page.model, policy))
            stack.callback(viewed[-1].close)
        server.stop_on_signals()
        server.show(_app(server, viewed))
        notify(f"look at the recording here: {server.url}; Ctrl-C ends")
        if browser:
            open_in_browser(server.url, seconds=0)
        server.wait()


def _usual_port() -> int:
    """Return the page's usual port, so that a page that is open finds a server that was started
    again; 0 if in use.
    """
    with suppress(UserError):
        listen("127.0.0.1", _PORT).close()
        return _PORT
    return 0


def _app(server: WebServer, viewed: Sequence[Viewed]) -> Any:
    """Return the page's app. viewed: the recordings, one above the other."""
    app = guarded_app(
        server,
        __package__,
        "bcclone edit",
        partial(render, "editor.html", title=viewed[0].name),
        _BODY_BYTES,
    )

    def of_panel(answer: Callable[..., Any]) -> Callable[..., Any]:
        def view(panel: int, **more: int) -> Any:
            if panel < len(viewed) and more.get("row", 0) < len(viewed[panel].rows):
                return answer(viewed[panel], **more)
            return {"error": "no such recording or row"}, 404

        return view

    app.add_url_rule("/panels", "panels", lambda: [one.about() for one in viewed])
    app.add_url_rule("/curves/<int:panel>", "curves", of_panel(_curves))
    frames = of_panel(
        lambda viewed, row: (with_pictures({"row": row}, *viewed.pictures(row)), _BYTES)
    )
    app.add_url_rule("/frames/<int:panel>/<int:row>", "frames", frames)
    app.add_url_rule("/state/<int:panel>", "state", of_panel(Viewed.state))
    app.add_url_rule(
        "/edit/<int:panel>", "edit", of_panel(lambda viewed: viewed.edit(posted)), methods=["POST"]
    )
    return app


def _curves(viewed: Viewed) -> tuple[bytes, dict[str, str]]:
    """Return the curves one after the other, after a JSON object that names them, and the length of
    that, 4 bytes.
    """
    curves = viewed.curves()
    columns = [
        (name, "f4" if curve.dtype.kind == "f" else "u4", len(curve))
        for name, curve in curves.items()
    ]
    text = json.dumps({"columns": columns}).encode()
    text += b" " * (-len(text) % 4)
    return b"".join(
        [len(text).to_bytes(4, "big"), text, *(curve.tobytes() for curve in curves.values())]
    ), _BYTES
