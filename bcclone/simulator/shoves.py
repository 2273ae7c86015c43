"""How far the car has come -> when it is pushed aside, and how far: the same each time."""

from dataclasses import dataclass

_SPARE_M = 0.3  # that a push leaves to the edge of the road


@dataclass
class Shoves:
    """Pushes of size_m each time the car has come every_m farther, to the right and to the left in turn.

    limit_m: how far from the centre line is off the road. A push is shortened so that it leaves the wheels on the
    asphalt, and is none where the car is at the edge or beyond it already: leaving the road is always the driver's
    doing. size_m 0: there are none.
    """

    size_m: float
    every_m: float
    limit_m: float
    given: int = 0

    def due(self, progress_m: float, cross_track_m: float) -> float:
        """Return how far to the right (negative: to the left) the car is pushed now; 0 when it is not."""
        if self.size_m == 0 or progress_m < (self.given + 1) * self.every_m:
            return 0.0
        side = 1 if self.given % 2 == 0 else -1
        self.given += 1
        room = max(self.limit_m - _SPARE_M - side * cross_track_m, 0.0)
        return side * min(self.size_m, room)
