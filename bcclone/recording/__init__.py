"""Read driving logs of any dialect, find their images, and read the sidecar tables next to them.

The reader of logs needs pandas, which is loaded when it is first used.
"""

from typing import TYPE_CHECKING

from bcclone.lazy import lazy_attributes
from bcclone.recording.files import ImageIndex, ImagePlace, default_inputs, find_local_logs, find_log, find_logs
from bcclone.recording.row import CAMERAS, time_of

if TYPE_CHECKING:
    from bcclone.recording.dialect import Dialect
    from bcclone.recording.log import ForeignLog, Log, read_log

__all__ = [
    "CAMERAS",
    "Dialect",
    "ForeignLog",
    "ImageIndex",
    "ImagePlace",
    "Log",
    "default_inputs",
    "find_local_logs",
    "find_log",
    "find_logs",
    "read_log",
    "time_of",
]

__getattr__ = lazy_attributes(
    __name__, {"Dialect": "dialect"} | dict.fromkeys(("ForeignLog", "Log", "read_log"), "log")
)
