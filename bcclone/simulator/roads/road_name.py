"""Read the name of a random road: its seed, and the values that narrow what the seed chooses from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from bcclone.simulator.roads import look as looks
from bcclone.simulator.roads.road_plan import NARROWEST_M, WIDEST_M
from bcclone.system.errors import UserError, did_you_mean

PREFIX = "random:"
CHOICES = {
    "surface": looks.SURFACES,
    "lines": looks.LINES,
    "middle": looks.MIDDLES,
    "edges": looks.EDGES,
    "barriers": looks.BARRIERS,
    "surroundings": looks.SURROUNDINGS,
}
# what a seed does not choose unless "any" is asked for; the first is what a road has otherwise
KINDS = {
    "shape": ("loop", "winding", "any"),
    "neighbor": ("none", "left", "right", "any"),
    "slopes": ("even", "eased", "any"),
}


@dataclass(frozen=True)
class RoadRanges:
    """What the seed of a road chooses from: the smallest and the largest of each, in metres."""

    length: tuple[float, float] = (500.0, 1200.0)
    radius: tuple[float, float] = (18.0, 40.0)
    hills: tuple[float, float] = (0.0, 10.0)
    width: tuple[float, float] = (7.0, 10.0)


_LIMITS = {"length": (150.0, 5000.0), "radius": (8.0, 200.0), "hills": (0.0, 40.0), "width": (NARROWEST_M, WIDEST_M)}


@dataclass(frozen=True)
class RoadName:
    """What the name of a road states: its seed, ranges of its figures, a value for each kind, and choices of its look.

    kinds: by the names of KINDS; chosen: by those of CHOICES, of which the seed draws the others.
    """

    seed: int
    ranges: RoadRanges
    kinds: Mapping[str, str]
    chosen: Mapping[str, str]


def parse_name(name: str) -> RoadName:
    """Return what a name such as random:7 or random:7:surface=dirt states; raises UserError for a malformed one."""
    seed, _, rest = name.removeprefix(PREFIX).partition(":")
    if not seed.isdecimal() or len(seed) > 9:
        raise UserError(f"{name}: the seed is {seed!r}, expected a whole number of up to nine digits, as in random:7")
    ranges, chosen, given = asdict(RoadRanges()), dict[str, str](), set[str]()
    kinds = {kind: choices[0] for kind, choices in KINDS.items()}
    for part in filter(None, map(str.strip, rest.split(","))):
        key, equals, value = map(str.strip, part.partition("="))
        if not equals:
            raise UserError(f"{name}: {part!r}, expected a name and a value, such as surface=dirt")
        _expect(name, key, value, key not in given, "each only once")
        given.add(key)
        if key in CHOICES:
            _expect(name, key, value, value in CHOICES[key], f"one of {', '.join(CHOICES[key])}")
            chosen[key] = value
        elif key in KINDS:
            _expect(name, key, value, value in KINDS[key], f"one of {', '.join(KINDS[key])}")
            kinds[key] = value
        elif key in _LIMITS:
            low, high = _LIMITS[key]
            span = _span(value.split("-"))
            fits = span is not None and low <= span[0] <= span[1] <= high
            expected = f"a number, or a range from the smaller to the larger, of {low:g}-{high:g} metres"
            _expect(name, key, value, fits, expected)
            ranges[key] = span
        else:
            known = (*_LIMITS, *KINDS, *CHOICES)
            if hint := did_you_mean(key, known):
                raise UserError(f"{name}: {key}={value}: {hint}")
            _expect(name, key, value, False, ", ".join(known))
    return RoadName(int(seed), RoadRanges(**ranges), kinds, chosen)


def _span(texts: Sequence[str]) -> tuple[float, float] | None:
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return None
    return (numbers[0], numbers[-1]) if 1 <= len(numbers) <= 2 else None


def _expect(name: str, key: str, value: str, fits: bool, expected: str) -> None:
    if not fits:
        raise UserError(f"{name}: {key}={value}, expected {expected}")
