"""Driving through a recording: what a model would have seen and done from where it would have strayed to.

M. Bojarski and others, "End to end learning for self-driving cars", 2016, section 7. The simulator's three cameras take
the place of the paper's; how it is done and how far to trust it: docs/explanation/replay.md.
"""

from bcclone.simulator.replay.human import read_human
from bcclone.simulator.replay.result import ReplayResult
from bcclone.simulator.replay.settings import ReplaySettings
from bcclone.simulator.replay.whole import replay
from bcclone.simulator.replay.world import Replay, ReplayDrive

__all__ = ["Replay", "ReplayDrive", "ReplayResult", "ReplaySettings", "read_human", "replay"]
