"""What a network answers for a frame: the table of its outputs, and the value of an answer.

In: the numbers that a network computes. Out: an `Answer`, each number in its unit.

A new output is a row of OUTPUTS and a field of Answer: `--predict`, labels, model files, policies
and exported files follow. Importing this loads no large package.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class Output:
    """An output of a network, and its label."""

    name: str  # its field of Answer
    predict: str  # the choice of --predict that adds it
    meaning: str  # the help of that choice
    column: str  # of the rows, whose value lead_seconds later, within the episode, is the label
    unit: float = 1.0  # of the number that the network computes
    lead_seconds: float = 0.0
    used_by: str = ""  # the option of a drive that needs it

    @property
    def refusal(self) -> str:
        """Return the error for a model that lacks this output."""
        return (
            f"this model has no output {self.name}; leave out {self.used_by}, or train one with: "
            f"bcclone model data.h5 --predict {self.predict}"
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

    They are not checked at birth: a network computes any number, and a drive counts and answers
    those that cannot be used.
    """

    steering: float  # -1 (left) to 1 (right), NaN from a diverged network
    predicted_speed_mph: float | None = None  # how fast to drive
    predicted_throttle: float | None = None  # -1 to 1

    @classmethod
    def of(cls, numbers: Iterable[Any]) -> Self:
        """Return the answer from the network's numbers for a frame, (outputs,)."""
        values = {}
        for number, output in zip(numbers, OUTPUTS, strict=False):
            values[output.name] = float(number) * output.unit
        return cls(**values)


def steering_output(names: Iterable[str]) -> tuple[str, bool]:
    """Return which output of another program's network is its steering, and whether that is sure.

    It is sure if the name says so, or if it is the only output.
    """
    names = [*names]
    surely_none = re.compile("throttle|speed|brake|accel|confidence|img_out")
    surely_steering = re.compile("angle|steer|wheel")
    candidates = [name for name in names if not surely_none.search(name.lower())]
    named = [name for name in candidates if surely_steering.search(name.lower())]
    if len(named) == 1:
        return named[0], True
    likely = candidates or names
    return likely[0], len(names) == 1


def outputs_of(predict: str) -> tuple[Output, ...]:
    """Return the outputs of a network trained with --predict.

    These are all up to the named one, or the steering alone.
    """
    names = [output.predict for output in OUTPUTS]
    if predict not in names:
        return OUTPUTS[:1]
    return OUTPUTS[: names.index(predict) + 1]
