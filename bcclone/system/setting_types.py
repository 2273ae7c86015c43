"""The types of settings that many commands have: each gives its values a unit and a range."""

from collections.abc import Callable
from typing import Annotated, Any

from bcclone.system.setting import Setting

SIMULATOR_PORT = 4567  # the simulator always connects to it


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a text such as "left,right"; spaces around them are dropped."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def span_parser(
    kind: type, example: str, ends: tuple[str, str] = ("", "")
) -> Callable[[str], tuple[Any, Any]]:
    """Return a function that reads a text of two numbers, such as "0.8:1".

    The function raises ValueError for any other text.

    kind: type of the numbers, int or float
    example: what the error says that is expected
    ends: numbers, as texts, that stand for a first or second number which is left out, as in ":1";
        "" for one that may not be left out
    """

    def parse(text: str) -> tuple[Any, Any]:
        first, colon, last = text.partition(":")
        if colon and not last:
            last = ends[1]
        try:
            return kind(first or ends[0]), kind(last)
        except ValueError:
            raise ValueError(f"{text!r}, expected {example}") from None

    return parse


Fraction = Annotated[float, Setting(minimum=0, maximum=1, unit="FRACTION")]
Seconds = Annotated[float, Setting(minimum=0, maximum=1e6, unit="SECONDS")]
Minutes = Annotated[float, Setting(minimum=0, maximum=1e6, unit="MINUTES")]
Milliseconds = Annotated[float, Setting(minimum=0, maximum=1e9, unit="MILLISECONDS")]
Hertz = Annotated[float, Setting(above=0, maximum=10_000, unit="HZ")]
Metres = Annotated[float, Setting(minimum=0, unit="METRES")]
Degrees = Annotated[float, Setting(minimum=-360, maximum=360, unit="DEGREES")]
Mph = Annotated[float, Setting(minimum=0, maximum=60, unit="MPH")]
Laps = Annotated[float, Setting("length of the drive", above=0, maximum=1000, unit="LAPS")]
Count = Annotated[int, Setting(minimum=1, maximum=1 << 30, unit="N")]
Megabytes = Annotated[int, Setting(minimum=1, maximum=1 << 30, unit="MB")]
Seed = Annotated[
    int,
    Setting(
        "seed of all that is random; the same seed gives the same result",
        minimum=0,
        maximum=2**32 - 1,
        unit="N",
    ),
]
Force = Annotated[
    bool, Setting("overwrite an earlier output; inputs and files of other kinds are kept")
]
Port = Annotated[int, Setting(minimum=0, maximum=65_535, unit="N")]
Names = Annotated[tuple[str, ...], Setting(unit="NAMES", parse=parse_names)]
