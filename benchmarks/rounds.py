"""Measure alternatives fairly: functions -> their results in rounds, so that a slow moment affects all alike, or in
fresh processes.
"""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Generic, ParamSpec, TypeVar

from bcclone.system.child_process import process_pool
from bcclone.system.errors import UserError
from bcclone.system.progress import Notify
from bcclone.system.settings import setting

_LONGEST_SECONDS = 600.0

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def rounds_setting(default: int = 3, figures: str = "medians") -> Any:
    """Return the field for the number of rounds."""
    return setting(default, f"number of rounds; the figures are {figures}", 1)


def seconds_setting() -> Any:
    """Return the field for the time of a measurement."""
    text = "time to measure each loader in a round, after its warm-up"
    return setting(4.0, text, maximum=60, above=0, unit="SECONDS")


def measure_in_rounds(functions: Mapping[str, Callable[[], Result]], rounds: int) -> dict[str, list[Result]]:
    """Call all functions in each of several rounds, and return the results of each, in order of the rounds.

    A first round, in which caches fill, is not counted.
    """
    results: dict[str, list[Result]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, measure in functions.items():
            result = measure()
            if number:
                results[name].append(result)
    return results


def median_ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median over the rounds of the ratios of two measurements, which are neighbours in time."""
    return median(one / other for one, other in zip(mine, theirs, strict=True))


class Unavailable(Exception):
    """Something cannot be measured on this machine or with this store; the message is the reason."""


@dataclass(frozen=True)
class Rounds(Generic[Result]):
    """The results of each name in each round. skipped: name -> why it is unavailable; failed: name -> its error."""

    results: Mapping[str, Sequence[Result]] = field(default_factory=dict)
    skipped: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)


def run_rounds(
    names: Sequence[str],
    measure: Callable[[str], Result],
    rounds: int,
    notify: Notify = lambda text: None,
) -> Rounds[Result]:
    """Measure each name in each round, in a fresh process; one that fails is left out of the next rounds."""
    results: dict[str, list[Result]] = {}
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    for number in range(1, rounds + 1):
        for name in (name for name in names if name not in skipped and name not in failed):
            try:
                result = in_fresh_process(measure, name)
            except Unavailable as reason:
                skipped[name] = str(reason)
                notify(f"skipped: {name}: {reason}")
            except UserError as error:
                results.pop(name, None)
                failed[name] = str(error)
                notify(f"failed: {name}: {error}")
            else:
                results.setdefault(name, []).append(result)
                notify(f"round {number} of {rounds}: {name}: {result}")
    return Rounds(results, skipped, failed)


def in_fresh_process(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Call a function of a module in a spawned process and return its result; its errors are raised here.

    Raises UserError if the process breaks off or takes more than ten minutes.
    """
    call = f"{getattr(function, 'func', function).__name__}{arguments}"
    with process_pool(1, _use_default_start_method) as pool:
        future = pool.submit(_call, function, arguments, named)
        try:
            return future.result(_LONGEST_SECONDS)
        except BrokenProcessPool:
            raise UserError(f"the process of {call} ended unexpectedly; was there enough memory?") from None
        except TimeoutError:
            if future.done():  # the function's own error
                raise
            raise UserError(f"{call} did not finish within {_LONGEST_SECONDS:.0f} s; measure less at a time") from None


def _use_default_start_method() -> None:
    """Undo the start method that a spawned process inherits, so that loaders start their processes as usual."""
    multiprocessing.set_start_method(None, force=True)


def _call(function: Callable[Arguments, Result], arguments: tuple[object, ...], named: dict[str, object]) -> Result:
    try:
        return function(*arguments, **named)  # type: ignore[arg-type]
    finally:
        # after the measurement, Keras's threads print errors because fit() was stopped early
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
