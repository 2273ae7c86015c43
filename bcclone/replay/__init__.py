"""Score models on a recording: replay() drives each model through it, with views computed from the recorded frames.

The method follows M. Bojarski and others, "End to end learning for self-driving cars", 2016, section 7, with the
simulator's three cameras; docs/explanation/replay.md explains it. The functions are imported on first use, and load
TensorFlow only when it is needed.
"""

from typing import TYPE_CHECKING

from bcclone.lazy import lazy_attributes
from bcclone.replay.settings import FrameReplaySettings, ReplaySettings

if TYPE_CHECKING:
    from bcclone.replay.reference import read_reference
    from bcclone.replay.replaying import replay, replay_policies
    from bcclone.replay.result import ReplayFigures, ReplayResult
    from bcclone.replay.world import FrameReplay, RolloutWorld, replay_frames, replay_served

__all__ = [
    "FrameReplay",
    "FrameReplaySettings",
    "ReplayFigures",
    "ReplayResult",
    "ReplaySettings",
    "RolloutWorld",
    "read_reference",
    "replay",
    "replay_frames",
    "replay_policies",
    "replay_served",
]

__getattr__ = lazy_attributes(
    __name__,
    {
        "FrameReplay": "world",
        "ReplayFigures": "result",
        "ReplayResult": "result",
        "RolloutWorld": "world",
        "read_reference": "reference",
        "replay": "replaying",
        "replay_frames": "world",
        "replay_policies": "replaying",
        "replay_served": "world",
    },
)
