"""Run folder -> clip: `frames`, `facts` (what is known of them) -> `overlay` -> `lane` -> `encode`; `clip`: the whole.

TensorFlow is not loaded here: a model that is asked comes from outside, as an `Onlooker`.
"""

from bcclone.video.clip import Onlooker, make_clip
from bcclone.video.settings import ClipSettings, Span

__all__ = ["ClipSettings", "Onlooker", "Span", "make_clip"]
