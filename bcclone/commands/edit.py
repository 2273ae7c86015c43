"""List the rows of a recording; delete or restore some, or correct its steering, without changing its log or images.

Deleted rows are left out by every command, and every command takes the corrected steering. The edits are in a file next
to the log, driving_log.edits.json, which is removed when the last one is undone or the last row restored. Without an
edit, the recording is only listed.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from bcclone.commands.options import Command, Given, Result, number_of
from bcclone.recording.edit_settings import EditSettings

if TYPE_CHECKING:
    from bcclone.recording.editing import EditResult, RowSpan

COMMAND = Command(
    "list, delete and restore rows of a recording; correct its steering",
    (EditSettings,),
    left="the recording is unchanged; its edits are the old ones or the new ones, see: bcclone edit RECORDING",
)


def run(given: Given) -> Result:
    """Edit the recording."""
    settings = given.make(EditSettings)
    from bcclone.recording.editing import edit, rows_to_show

    result = edit(settings)
    if settings.view is not None:
        from bcclone.pictures.plots.recording_strip import plot_recording

        plot_recording(result.log, rows_to_show(settings), settings.view)
        result = replace(result, view=settings.view)
    return Result(result, _listed(result, undone=settings.undo))


def _listed(result: "EditResult", undone: bool) -> str:
    lines = [
        f"{result.log}: {number_of(result.rows, 'row')}, {result.seconds:.1f} s; "
        f"{result.rows - result.deleted} kept, {result.deleted} deleted by {number_of(result.edits, 'edit')}"
    ]
    lines += [f"  steering of all rows, against the log: {result.steering}"] if result.steering else []
    lines += [_line(span) for span in result.spans]
    if result.changed:
        hint = f"; undo it with: bcclone edit {result.log} --undo" if result.edits and not undone else ""
        lines.append(f"{number_of(result.changed, 'row')} changed{hint}")
    if result.view:
        lines.append(f"{result.view}: drawn")
    return "\n".join(lines)


def _line(span: "RowSpan") -> str:
    take_over = f", take-over {span.take_over}" if span.take_over else ""
    driver = f"   {span.driver}{take_over}" if span.driver else ""
    state = "kept" if span.kept else "deleted"
    pause = ", after a pause" if span.after_pause else ""
    return (
        f"  rows {span.first:>6} to {span.last:<6} {span.from_seconds:>8.1f}s to {span.to_seconds:>7.1f}s   "
        f"{state:<7}{driver}".rstrip()
        + pause
    )
