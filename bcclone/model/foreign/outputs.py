"""Names of the outputs of another program's network -> which of them is the steering."""

import re
from collections.abc import Iterable


def steering_output(names: Iterable[str]) -> tuple[str, bool]:
    """Return which output of another program's network is the steering, and whether that is sure.

    It is sure if the name of exactly one output says so, or if there is only one output. Otherwise
    it is the first of those whose name says so; without such a name, the first whose name does not
    exclude it.

    names: names of the network's outputs
    """
    names = [*names]
    # parts of names that exclude the steering, and parts that show it
    surely_none = re.compile("throttle|speed|brake|accel|confidence|img_out")
    surely_steering = re.compile("angle|steer|wheel")
    candidates = [name for name in names if not surely_none.search(name.lower())]
    named = [name for name in candidates if surely_steering.search(name.lower())]
    if len(named) == 1:
        return named[0], True
    likely = named or candidates or names
    return likely[0], len(names) == 1
