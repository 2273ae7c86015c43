"""Find out whether the car meets a tree or a wall. The car drives through them; only crashes are counted."""

from scipy.spatial import cKDTree

from bcclone.simulator.scene import Scene
from bcclone.simulator.scene.structures import walls_at
from bcclone.simulator.track import TrackPosition

_TREE_M = 1.3  # distance of the car's middle from a trunk at which they touch
_HALF_CAR_M = 0.9


class Obstacles:
    """What stands beside the road of a scene."""

    def __init__(self, scene: Scene) -> None:
        trees = scene.cards.placements[: scene.cards.trees, [0, 2]]
        self._track, self._trees = scene.track, cKDTree(trees) if len(trees) else None

    def hit(self, x: float, z: float, position: TrackPosition) -> bool:
        """Return whether a car at x, z touches something. position: the same on the track, driven in any direction."""
        if self._trees is not None and self._trees.query((x, z))[0] < _TREE_M:
            return True
        wall_m = walls_at(self._track, position.along_m)
        return wall_m is not None and wall_m - _HALF_CAR_M < abs(position.cross_track_m) < wall_m + _HALF_CAR_M
