"""Record on or off, while the car drives: the recorder behind it, and a run folder where none was named."""

import datetime
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from bcclone.drive.driver import Decision
from bcclone.drive.recorder import Recorder


class RecordingSwitch:
    """Holds the recorder of a drive, if there is one; on from the start when a folder is named.

    on_failure is called with the reason when the recording ends by itself. Raises UserError when the folder cannot be
    had.
    """

    def __init__(
        self, folder: Path | None, append: bool = False, on_failure: Callable[[str], None] = lambda why: None
    ) -> None:
        self._on_failure = on_failure
        self._lock = threading.Lock()
        self.recorder = Recorder(folder, append, on_failure) if folder else None

    def __enter__(self) -> Self:
        if self.recorder is not None:
            self.recorder.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self.recorder is not None:
            self.recorder.__exit__()

    @property
    def on(self) -> bool:
        """Return whether frames are recorded."""
        return self.recorder is not None and self.recorder.on

    def turn(self, on: bool) -> None:
        """Begin or stop; begins a run folder of the date and time where there is none. Raises UserError."""
        with self._lock:
            if self.recorder is not None:
                self.recorder.on = on
            elif on:
                folder = Path(f"run-{datetime.datetime.now():%Y_%m_%d_%H_%M_%S}")
                self.recorder = Recorder(folder, on_failure=self._on_failure).__enter__()

    def record(self, decision: Decision) -> None:
        """Keep a decision, if recording is on; not one whose frame nobody could read."""
        if self.recorder is not None and decision.frame_readable:
            self.recorder.record(decision.telemetry, decision.control)

    def answered(self, seconds: float) -> None:
        """Keep how long the answer that has just been sent took."""
        if self.recorder is not None:
            self.recorder.answered(seconds)

    def figures(self) -> dict[str, Any]:
        """Return what the page shows of it, ready for JSON."""
        recorder = self.recorder
        if recorder is None:
            return {"on": False, "folder": None, "recorded": 0, "dropped": 0, "failure": ""}
        return {
            "on": recorder.on,
            "folder": str(recorder.folder),
            "recorded": recorder.recorded,
            "dropped": recorder.dropped,
            "failure": recorder.failure,
        }

    def summary(self) -> str:
        """Return what came of it, "" when nothing was recorded."""
        recorder = self.recorder
        if recorder is None:
            return ""
        dropped = f", {recorder.dropped} dropped" if recorder.dropped else ""
        return (
            f"{recorder.folder}: {recorder.recorded} frames recorded{dropped}\nnext: python video.py {recorder.folder}"
        )
