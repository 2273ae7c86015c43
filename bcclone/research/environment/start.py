"""How an environment begins: the arguments of gymnasium.make() -> its settings; options of reset()
-> where an episode starts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bcclone.research.environment import CONDITIONS, EnvironmentSettings
from bcclone.simulator.world_settings import LOST_M, TOP_SPEED_MPH, Conditions
from bcclone.system.settings import Checked, Metres, Mph, setting
from bcclone.system.values import names_of


@dataclass(frozen=True)
class Start(Checked):
    """Where an episode starts, and how fast. Raises ValueError for a value out of range."""

    start_m: Metres = setting(0.0, "distance along the lap", 0, 100_000)
    offset_m: Metres = setting(0.0, "distance to the right of the centre line", -LOST_M, LOST_M)
    turn_degrees: float = setting(0.0, "degrees to the right of the road", -180, 180)
    speed_mph: Mph = setting(0.0, "speed", 0, TOP_SPEED_MPH)


START_OPTIONS = tuple(names_of(Start))


def settings_from(values: Mapping[str, Any]) -> EnvironmentSettings:
    """Return settings from the arguments of gymnasium.make(): fields of EnvironmentSettings, and
    `conditions` for several values of Conditions together.

    Raises ValueError for a value out of range, and for an unknown name.
    """
    own = [name for name in names_of(EnvironmentSettings) if name not in CONDITIONS]
    given = dict(values_by_name("argument", values, (*own, "conditions", *CONDITIONS)))
    conditions = values_of_conditions(given.pop("conditions", {}))
    return EnvironmentSettings(**{**conditions, **given})


def values_by_name(what: str, values: Any, names: Sequence[str]) -> Mapping[str, Any]:
    """Return the values unchanged; raises ValueError if they are not by name, or a name is unknown.

    what: word for one of the values in the error's text
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{what}s are {values!r}, expected values by name, such as {names[0]!r}")  # noqa: TRY004
    if unknown := sorted(str(name) for name in set(values) - set(names)):
        raise ValueError(f"unknown {what} {', '.join(unknown)}; expected {', '.join(names)}")
    return values


def values_of_conditions(changes: Any) -> Mapping[str, Any]:
    """Return the values of changed conditions by name; raises ValueError.

    changes: new values by name, or Conditions that replace all of them
    """
    if isinstance(changes, Conditions):
        return {name: getattr(changes, name) for name in CONDITIONS}
    return values_by_name("condition", changes, CONDITIONS)
