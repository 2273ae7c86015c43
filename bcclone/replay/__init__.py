"""Driving through a recording: what a model would have seen and done from where it would have strayed to.

M. Bojarski and others, "End to end learning for self-driving cars", 2016, section 7. The simulator's three cameras take
the place of the paper's; how it is done and how far to trust it: docs/explanation/replay.md.
"""

from bcclone.replay.human import read_human
from bcclone.replay.result import ReplayResult, ReplaySettings
from bcclone.replay.run import replay
from bcclone.replay.world import Replay, ReplayDrive

__all__ = ["Replay", "ReplayDrive", "ReplayResult", "ReplaySettings", "read_human", "replay"]
