"""Recordings of driving: logs of any dialect -> checked rows with their images; edits and checks of
a recording.

Here are the settings of an edit: which rows, by their numbers or by seconds, or how the steering is
corrected.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from bcclone.system.settings import Checked, Seconds, Setting, SettingError, argument, setting

START, END = "start", "end"
MAX_ADVANCE = 10.0  # seconds
_POSITION = re.compile(r"start|end|\d+|\d+(?:\.\d*)?s|\.\d+s")


Positions = Annotated[tuple[str, str], Setting(unit="FROM TO")]


@dataclass(frozen=True)
class EditSettings(Checked):
    """What to do with which rows of a recording; without an edit, the recording is only listed.

    recording: a folder with a driving_log.csv, or a CSV file. trim, delete, restore: two positions,
    the first row and the last one, both included; delete: or several such pairs. A position is the
    number of a row in the order of time, from 1, such as "120"; seconds since the first row, such
    as "8.5s", where a pause counts 10 s at most; or "start" or "end".
    """

    recording: str = argument("folder with a driving_log.csv, a CSV file, or a tub of donkeycar")
    delete: tuple[str, ...] = setting(
        (),
        "leave out the rows from FROM to TO: row numbers, or seconds such as 8.5s, or start, or end; repeatable",
        unit="FROM TO",
        shown="none",
    )
    restore: Positions = setting((), "take back deleted rows from FROM to TO", shown="none")
    trim: Positions = setting((), "leave out the rows before FROM and after TO", shown="none")
    mirror_steering: bool = setting(False, "change the sign of the recorded steering")
    advance_steering: Seconds = setting(
        0.0,
        "give each row the steering that was recorded so much later, or with a minus, earlier",
        -MAX_ADVANCE,
        MAX_ADVANCE,
    )
    undo: bool = setting(False, "take back the last edit")

    @property
    def edits(self) -> list[str]:
        """Return the names of the edits that are chosen."""
        edits = ("delete", "restore", "trim", "mirror_steering", "advance_steering", "undo")
        return [name for name in edits if getattr(self, name)]

    def validate(self) -> None:
        if len(self.edits) > 1:
            together = " and ".join(f"{{{name}}}" for name in self.edits)
            raise SettingError(
                f"{together} together, expected one edit at a time; run one after the other"
            )
        if len(self.delete) % 2:
            raise SettingError(
                "{delete} {last} without a second position, expected pairs", last=self.delete[-1]
            )
        for name in ("delete", "restore", "trim"):
            for position in getattr(self, name):
                if not _POSITION.fullmatch(position):
                    raise SettingError(
                        f"{{{name}}} {{position}}, expected a row such as 120, seconds such as 8.5s, {START} or {END}",
                        position=position[:20],
                    )


@dataclass(frozen=True)
class PageSettings(Checked):
    """The page of a recording, on which it is seen and edited."""

    other: str | None = argument(
        "another recording, or a run, to show below on the page", None, unit="OTHER"
    )
    page: bool = setting(
        False, "serve the page also without a terminal or a browser on this machine"
    )
    model: Path | None = setting(
        None, "show on the page how this model would steer, too", unit="MODEL", shown="none"
    )
    port: int = setting(
        0, "port of the page", 0, 65535, shown="4569, or a free one if it is in use", rare=True
    )
