"""How a recording is driven through."""

from dataclasses import dataclass

_FARTHEST_M = 5.0  # there is hardly a view from there, nor a road


@dataclass(frozen=True)
class ReplaySettings:
    """part: from which to which share of the rows; limit_m: how far beside the human's path a person takes over, in the
    ride that counts; limits_m: of the other rides beside it."""

    part: tuple[float, float] = (0.0, 1.0)
    limit_m: float = 2.0
    limits_m: tuple[float, ...] = (1.0, 1.5, 2.0, 3.0)

    def __post_init__(self) -> None:
        first, last = self.part
        if not 0 <= first < last <= 1:
            raise ValueError(f"part {first:g}:{last:g}, expected two shares of the rows such as 0.8:1")
        for limit in (self.limit_m, *self.limits_m):
            if not 0 < limit <= _FARTHEST_M:
                raise ValueError(f"limit {limit:g} m, expected more than 0 and up to {_FARTHEST_M:g}")

    @property
    def all_limits_m(self) -> tuple[float, ...]:
        """Return the limits of all rides, each once, in their order."""
        return tuple(sorted({self.limit_m, *self.limits_m}))
