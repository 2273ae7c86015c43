"""Make clips of recorded runs: `make_clip(ClipSettings(Path("run1"), overlay=True))` returns a `Clip`."""

from typing import TYPE_CHECKING

from bcclone.lazy import lazy_attributes
from bcclone.video.settings import ClipSettings, Pace

if TYPE_CHECKING:
    from bcclone.video.clip import Clip, make_clip

__all__ = ["Clip", "ClipSettings", "Pace", "make_clip"]

__getattr__ = lazy_attributes(__name__, dict.fromkeys(("Clip", "make_clip"), "clip"))
