"""Which edits of an imported recording to make again, when its source is imported once more.

In: the log of an imported recording, and where it comes from. Out: its edits, and those of the
recordings that the same import made, as far as their rows will have the same numbers.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bcclone.exchange.exchange_settings import ImportSettings
from bcclone.exchange.exchanged_rows import Row, Seen
from bcclone.exchange.formats import FORMATS
from bcclone.exchange.tub import read_tub
from bcclone.recording.editing import EditedRecording
from bcclone.recording.edits import MIRROR, Edit, edits_again
from bcclone.recording.origin import Origin, origin_of
from bcclone.system.arrays import IndexArray
from bcclone.system.errors import UserError
from bcclone.system.values import from_json

_ALL_MIRRORED = Edit(MIRROR)


@dataclass
class ImportedEdits:
    """A recording that is imported again, and the edits to make again in the new one."""

    log: Path
    name: str  # of its folder in the output of the import; "" for the output itself
    rows: int  # deleted ones included
    edits: list[Edit]
    is_lost: bool  # whether there are edits of rows whose numbers in the new one are unknown


def edited_of_import(log: Path, origin: Origin | None) -> list[ImportedEdits]:
    """Return the recording of a log, and those that the same import made beside it."""
    logs = {"": log}
    folder = log.parent
    if origin and folder.name.isdecimal():
        beside = [each for each in sorted(folder.parent.iterdir()) if each.name.isdecimal()]
        found = {each.name: each / log.name for each in beside}
        of_import = {name: each for name, each in found.items() if origin_of(each) == origin}
        if len(of_import) > 1:
            logs = of_import
    marked = _marked_times(origin)
    edited = []
    for name, each in logs.items():
        recorded = EditedRecording(each)
        is_marked = np.isin(recorded.times, [] if marked is None else marked)
        edits = edits_again(recorded.edits, recorded.times, is_marked)
        of_all = [edit for edit in edits if not edit.spans]
        # an import leaves out no row that the log has, but takes one that was damaged in it
        is_lost = (marked is None or bool(recorded.log.bad_rows)) and of_all != edits
        edited.append(
            ImportedEdits(each, name, len(recorded.rows), of_all if is_lost else edits, is_lost)
        )
    return edited


def turn_edited(edited: Sequence[ImportedEdits], log: Path, origin: Origin | None) -> bool:
    """Turn the steering of imported recordings; return whether the import has to do it.

    A steering that an edit has mirrored is turned by leaving out this edit.

    log: that of which is known that its edited steering is to be turned
    """
    (own,) = (one for one in edited if one.log == log)
    was_mirrored = _ALL_MIRRORED in own.edits
    for one in edited:
        if _ALL_MIRRORED in one.edits:
            one.edits.remove(_ALL_MIRRORED)
    format = FORMATS.get(origin.format) if origin else None
    if format and "left_positive" not in format.options and not was_mirrored:
        own.edits.append(_ALL_MIRRORED)
        return False
    return not was_mirrored


def _marked_times(origin: Origin | None) -> IndexArray | None:
    """Return the times of the rows that the source marks as deleted; None if they are unknown."""
    if origin and origin.format != "tub":
        return np.array([], np.int64)
    with suppress(UserError, ValueError):
        if origin:
            given = {**origin.options, "source": str(origin.source)}
            settings = from_json(ImportSettings, given)
            seen = Seen(settings.min_throttle)
            items = read_tub(settings, seen, read=lambda folder, name, _: str(folder / name))
            marks: dict[tuple[int, int], bool] = {}  # recording and time of each row
            for item in items:
                if isinstance(item, Row) and seen.takes(item):
                    time_ms = item.time_ms
                    while (item.recording, time_ms) in marks:  # as the import does
                        time_ms += 1
                    marks[item.recording, time_ms] = item.deleted
            marked = {time_ms for (_, time_ms), is_marked in marks.items() if is_marked}
            kept = {time_ms for (_, time_ms), is_marked in marks.items() if not is_marked}
            # which of several recordings a log holds is not known
            return None if marked & kept else np.array(sorted(marked), np.int64)
    return None
