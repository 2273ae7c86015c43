"""The settings of an edit: rows to delete or restore, or how to correct the steering.

editing.py makes an `Edit` of these settings.
"""

import re
from dataclasses import dataclass
from typing import Annotated

from bcclone.system.settings import Checked, Seconds, Setting, SettingError, argument, setting

START = "start"  # the first row
END = "end"  # the last row
MAX_ADVANCE = 10.0  # seconds by which the steering can be shifted, to either side
# start, end, a row number, or seconds with an "s": 8s, 8.5s, .5s
_POSITION = re.compile(r"start|end|\d+|\d+(?:\.\d*)?s|\.\d+s")
_EDITS = ("delete", "restore", "trim", "mirror_steering", "advance_steering", "undo")

Positions = Annotated[tuple[str, str], Setting(unit="FROM TO")]


@dataclass(frozen=True)
class EditSettings(Checked):
    """What to do with which rows of a recording; without an edit, the recording is only listed.

    Rows are named by two positions, the first row and the last one, both included. A position is
    the number of a row in the order of time, from 1, such as "120"; seconds since the first row,
    such as "8.5s", where a pause counts 10 s at most; or "start" or "end".
    """

    recording: str = argument("folder with a driving_log.csv, a CSV file, or a tub of donkeycar")
    delete: tuple[str, ...] = setting(  # pairs of positions, one after the other: FROM TO FROM TO
        (),
        "leave out the rows from FROM to TO: row numbers, or seconds such as 8.5s, or start, or "
        "end; repeatable",
        unit="FROM TO",
        shown="none",
    )
    restore: Positions | None = setting(
        None, "take back deleted rows from FROM to TO", shown="none"
    )
    trim: Positions | None = setting(
        None, "leave out the rows before FROM and after TO", shown="none"
    )
    mirror_steering: bool = setting(False, "change the sign of the recorded steering")
    rows: tuple[str, ...] = setting(  # pairs of positions, as of delete
        (),
        "with --mirror-steering: change it only in the rows from FROM to TO; repeatable",
        unit="FROM TO",
        shown="all rows",
    )
    advance_steering: Seconds = setting(
        0.0,
        "give each row the steering that was recorded so much later, or with a minus, earlier",
        minimum=-MAX_ADVANCE,
        maximum=MAX_ADVANCE,
    )
    undo: bool = setting(False, "take back the last edit")

    @property
    def edits(self) -> list[str]:
        """Return the names of the edits that are chosen."""
        return [name for name in _EDITS if getattr(self, name)]

    def validate(self) -> None:
        if len(self.edits) > 1:
            together = " and ".join(f"{{{name}}}" for name in self.edits)
            raise SettingError(
                f"{together} together, expected one edit at a time; run one after the other"
            )
        if self.rows and not self.mirror_steering:
            raise SettingError("{rows} without {mirror_steering}, which alone takes {rows}")
        for name in ("delete", "rows"):
            positions = getattr(self, name)
            if len(positions) % 2:
                raise SettingError(
                    f"{{{name}}} {{last}} without a second position, expected pairs",
                    last=positions[-1],
                )
        for name in ("delete", "rows", "restore", "trim"):
            for position in getattr(self, name) or ():
                if not _POSITION.fullmatch(position):
                    raise SettingError(
                        f"{{{name}}} {{position}}, expected a row such as 120, seconds such as "
                        f"8.5s, {START} or {END}",
                        position=position[:20],
                    )
