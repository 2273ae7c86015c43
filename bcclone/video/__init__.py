"""Make clips of recorded runs: `make_clip(ClipSettings(Path("run1"), overlay=True))` returns a `Clip`."""

from typing import TYPE_CHECKING, Any

from bcclone.video.settings import ClipSettings

if TYPE_CHECKING:
    from bcclone.video.clip import Clip, make_clip

__all__ = ["Clip", "ClipSettings", "make_clip"]


def __getattr__(name: str) -> Any:
    """Import OpenCV only for a clip, and not for the settings alone."""
    if name in ("Clip", "make_clip"):
        from bcclone.video import clip

        return getattr(clip, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
