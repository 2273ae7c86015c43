"""Edit a recording without touching it: edit() lists, deletes and restores rows, and draws them.

The edits are kept next to the log (bcclone.recording.edits), and every reader of the recording respects them.
"""

from typing import TYPE_CHECKING

from bcclone.edit.settings import EditSettings
from bcclone.lazy import lazy_attributes

if TYPE_CHECKING:
    from bcclone.edit.editing import EditResult, RowSpan, edit

__all__ = ["EditResult", "EditSettings", "RowSpan", "edit"]

__getattr__ = lazy_attributes(__name__, dict.fromkeys(("EditResult", "RowSpan", "edit"), "editing"))
