"""Functions for the workers of a task pool."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from bcclone.system.errors import UserError
from bcclone.system.files import replacing


def square(number):
    return number * number


def refuse_three(number):
    if number == 3:
        raise UserError("three.csv: cannot be read", exit_code=2)
    return number


def divide_by(number):
    return 1 / number


def end_process(number):
    os._exit(1)


def wait_for_file(file):
    """Leave a file named after this process, then wait for another; return the name of that."""
    (Path(file).parent / f"{os.getpid()}.pid").touch()
    while not Path(file).exists():
        time.sleep(0.05)
    return file


def write_or_fail(output):
    """Write an output called "slow" for a minute; any other one fails as soon as that has begun."""
    if output.name == "slow":
        with replacing(output) as temporary:
            temporary.touch()
            time.sleep(60)
    while not any(output.parent.iterdir()):
        time.sleep(0.05)
    raise UserError(f"{output}: no space left")


@dataclass(frozen=True)
class Counted:
    number: int
    folder: Path  # gets a file for each task that is run; there must be none

    size = 1.0

    @property
    def key(self):
        return f"count-{self.number}"


def count(task):
    task.folder.mkdir(exist_ok=True)
    (task.folder / str(task.number)).touch(exist_ok=False)
    return task.number
