"""What a network answers for a frame: the table of its outputs, and one frozen value; loads no
large package.

In: the numbers that a network computes. Out: an `Answer`, each number in its unit.

A new output is a row of OUTPUTS and a field of Answer: `--predict`, labels, model files, policies
and exported files follow.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Output:
    """An output of a network, and its label.

    name: its field of Answer; predict: the choice of --predict that adds it, and meaning: its help;
    unit: of the number that the network computes; column: of the rows, whose value lead_seconds
    later, within the episode, is the label; used_by: the option of a drive that needs it.
    """

    name: str
    predict: str
    meaning: str
    column: str
    unit: float = 1.0
    lead_seconds: float = 0.0
    used_by: str = ""

    @property
    def refusal(self) -> str:
        """Return the error for a model that lacks this output."""
        return (
            f"this model has no output {self.name}; leave out {self.used_by}, or train one with: "
            f"bcclone model data.h5 --predict {self.predict}"
        )


# what outputs of other programs' networks are called: the steering, and what is surely none
_STEERING, _OTHER = (
    re.compile("angle|steer|wheel"),
    re.compile("throttle|speed|brake|accel|confidence|img_out"),
)
# In the order of the network's numbers; a network has the first of them, or more. The steering has
# labels of its own.
OUTPUTS = (
    Output("steering", "steering", "the steering alone", "steering"),
    Output(
        "predicted_speed_mph",
        "speed",
        "also the speed to drive, from the recorded speed, for drive.py --predicted-speed",
        "speed_mph",
        unit=30.0,  # about the car's top speed
        lead_seconds=0.5,  # a controller needs some time to reach the speed of a bend
        used_by="--predicted-speed",
    ),
    Output(
        "predicted_throttle",
        "throttle",
        "also the speed and the recorded throttle, which an export to a donkeycar gives",
        "throttle",
    ),
)


@dataclass(frozen=True)
class Answer:
    """The outputs of a network for one frame, None where it has no such output.

    steering: -1 (left) to 1 (right), NaN from a diverged network; predicted_speed_mph: how fast to
    drive; predicted_throttle: -1 to 1.
    """

    # not checked at birth: a network computes any number, and a drive counts and answers those that
    # cannot be used
    steering: float
    predicted_speed_mph: float | None = None
    predicted_throttle: float | None = None

    @classmethod
    def of(cls, numbers: Iterable[Any]) -> Self:
        """Return the answer from the network's numbers for a frame, (outputs,)."""
        return cls(
            **{
                each.name: float(number) * each.unit
                for number, each in zip(numbers, OUTPUTS, strict=False)
            }
        )


def steering_output(names: Iterable[str]) -> tuple[str, bool]:
    """Return the output of another program's network that is its steering, and whether its name
    says so.
    """
    names = [*names]
    others = [name for name in names if not _OTHER.search(name.lower())]
    named = [name for name in others if _STEERING.search(name.lower())]
    return (named if len(named) == 1 else others or names)[0], len(named) == 1 or len(names) == 1


def outputs_of(predict: str) -> tuple[Output, ...]:
    """Return the outputs of a network trained with --predict: all up to the named one, or the
    steering alone.
    """
    names = [each.predict for each in OUTPUTS]
    return OUTPUTS[: names.index(predict) + 1] if predict in names else OUTPUTS[:1]
