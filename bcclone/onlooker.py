"""Model file -> what it would steer at each frame of somebody's drive, and which pixels decide that."""

import sys
from pathlib import Path

from bcclone.images import Image
from bcclone.policy import Policy, load_policy
from bcclone.saliency import Mask, Saliency


class ModelOnlooker:
    """A model that looks on; each network call is compiled once. Its frames are those of one drive, in order."""

    def __init__(self, policy: Policy) -> None:
        """Raises UserError for a network whose saliency cannot be computed."""
        self._policy, self._saliency = policy, Saliency(policy.model, policy.preprocessing)
        self.seq_length = sys.maxsize if policy.carries_states else policy.seq_length

    def steer(self, frame: Image) -> float:
        """Return the steering, -1 to 1, for the next frame, RGB uint8 (160, 320, 3); raises BadImage for another."""
        return min(max(self._policy.act(frame), -1.0), 1.0)

    def mask(self, frame: Image) -> Mask:
        """Return how much each pixel decided: float32 (160, 320), 0 to 1; raises BadImage for another size."""
        return self._saliency.mask(frame)

    def forget(self) -> None:
        """Begin anew: the next frame does not follow on the last one."""
        self._policy.forget()


def load_onlooker(path: Path, preprocess: str | None = None) -> ModelOnlooker:
    """Load a model, or one of others with the name of the preprocessing it needs; raises UserError."""
    return ModelOnlooker(load_policy(path, preprocess))
