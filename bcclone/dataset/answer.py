"""Define what a network can predict for a frame: the table OUTPUTS, and the value `Answer`.

In: the numbers that a network computes. Out: an `Answer`, each number in its unit.

To add an output, add a row to OUTPUTS and a field to Answer; `--predict`, labels, model files,
policies and exported files are made from these. Importing this loads no large package.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from bcclone.system.errors import shown_command

# least correlation with the driver's steering from which a network counts as reading a place
LEAST_CORRELATION = 0.4


@dataclass(frozen=True)
class Output:
    """An output of a network, and its label."""

    name: str  # name of the output's field of Answer
    predict: str  # the choice of --predict that adds the output
    meaning: str  # help text of that choice
    # the label of a row is the value of this column lead_seconds later, in the same episode
    column: str
    unit: float = 1.0  # the network computes the value divided by this
    lead_seconds: float = 0.0
    used_by: str = ""  # the option of drive.py that needs the output

    @property
    def refusal(self) -> str:
        """Return the text of the error for a model that lacks this output."""
        return (
            f"this model has no output {self.name}; leave out {self.used_by}, or train one with: "
            f"{shown_command('model', 'data.h5', '--predict', self.predict)}"
        )


# In the order of the numbers that a network computes: a network has the first output, the first
# two, or all three. The labels of the steering are an exception to `column`: they are made by
# labels.steering_labels().
OUTPUTS = (
    Output(name="steering", predict="steering", meaning="the steering alone", column="steering"),
    Output(
        name="predicted_speed_mph",
        predict="speed",
        meaning="also the speed to drive, from the recorded speed, for drive.py --predicted-speed",
        column="speed_mph",
        unit=30.0,  # about the car's top speed
        lead_seconds=0.5,  # a controller needs some time to reach the speed of a bend
        used_by="--predicted-speed",
    ),
    Output(
        name="predicted_throttle",
        predict="throttle",
        meaning="also the speed and the recorded throttle, which an export to a donkeycar gives",
        column="throttle",
    ),
)


@dataclass(frozen=True)
class Answer:
    """The outputs of a network for one frame, None where it has no such output.

    The values are not checked here: a network may compute any number, also NaN, and the driver
    counts and replaces those that cannot be used.
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


def outputs_of(predict: str) -> tuple[Output, ...]:
    """Return the outputs of a network trained with --predict.

    These are the rows of OUTPUTS up to the row whose `predict` is the choice. A choice without a
    row, such as "path", has the steering alone.

    predict: choice of --predict
    """
    names = [output.predict for output in OUTPUTS]
    if predict not in names:
        return OUTPUTS[:1]
    return OUTPUTS[: names.index(predict) + 1]
