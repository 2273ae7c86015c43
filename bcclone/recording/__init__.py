"""Read driving logs of any dialect, find their images, and read the sidecar tables next to them."""

from bcclone.recording.files import ImageIndex, default_inputs, find_log, find_logs
from bcclone.recording.log import ForeignLog, Log, read_log
from bcclone.recording.row import CAMERAS, time_of

__all__ = [
    "CAMERAS",
    "ForeignLog",
    "ImageIndex",
    "Log",
    "default_inputs",
    "find_log",
    "find_logs",
    "read_log",
    "time_of",
]
