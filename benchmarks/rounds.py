"""Measure alternatives fairly: functions -> their results in rounds, or in fresh processes.

In rounds, a slow moment of the machine affects all alternatives alike.
"""

import json
import multiprocessing
import multiprocessing.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Generic, ParamSpec, TypeVar

import psutil

from bcclone import UserError
from bcclone.system.files import write_text
from bcclone.system.pool import open_pool
from bcclone.system.progress import Notify
from bcclone.system.settings import SettingError, setting

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def check_names(only: Sequence[str], known: Collection[str]) -> None:
    """Raise SettingError if the setting `only` names something unknown."""
    unknown = [name for name in only if name not in known]
    if unknown:
        raise SettingError(
            "{only} {names}, expected some of {all}",
            names=", ".join(unknown),
            all=", ".join(known),
        )


def rounds_setting(default: int = 3, figures: str = "medians") -> Any:
    """Return the field for the number of rounds."""
    return setting(default, f"number of rounds; the figures are {figures}", 1)


def seconds_setting() -> Any:
    """Return the field for the time of a measurement."""
    text = "time to measure each loader in a round, after its warm-up"
    return setting(4.0, text, maximum=60, above=0, unit="SECONDS")


def measure_in_rounds(
    functions: Mapping[str, Callable[[], Result]], rounds: int
) -> dict[str, list[Result]]:
    """Call all functions in each of several rounds; return the results of each function.

    The results are in order of the rounds. A first round, in which caches fill, is not counted.
    """
    results: dict[str, list[Result]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            result = function()
            if number > 0:
                results[name].append(result)
    return results


def median_ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of two measurements, one ratio for each round.

    The measurements of a round are neighbours in time.
    """
    return median(
        numerator / denominator for numerator, denominator in zip(mine, theirs, strict=True)
    )


class Unavailable(Exception):
    """Something cannot be measured on this machine or with this store; the message says why."""


@dataclass(frozen=True)
class Rounds(Generic[Result]):
    """The results of each name in each round."""

    results: dict[str, list[Result]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)  # name -> why it is unavailable
    failed: dict[str, str] = field(default_factory=dict)  # name -> its error

    def skipped_rows(self) -> list[str]:
        """Return a line for each name that was skipped."""
        return [f"skipped: {name}: {reason}" for name, reason in self.skipped.items()]


def run_rounds(
    names: Sequence[str],
    measure: Callable[[str], Result],
    rounds: int,
    notify: Notify = lambda text: None,
) -> Rounds[Result]:
    """Measure each name in each round, in a fresh process.

    A name that fails is left out of the next rounds, and its earlier results are dropped.
    """
    measured = Rounds[Result]()
    for number in range(1, rounds + 1):
        for name in names:
            if name in measured.skipped or name in measured.failed:
                continue
            try:
                result = in_fresh_process(measure, name)
            except Unavailable as error:
                measured.skipped[name] = str(error)
                measured.results.pop(name, None)
                notify(f"skipped: {name}: {error}")
            except UserError as error:
                measured.failed[name] = str(error)
                measured.results.pop(name, None)
                notify(f"failed: {name}: {error}")
            else:
                measured.results.setdefault(name, []).append(result)
                notify(f"round {number} of {rounds}: {name}: {result}")
    return measured


def in_fresh_process(
    function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Result:
    """Call a function of a module in a spawned process, and return its result.

    The errors of the function are raised here. Raises UserError if the process breaks off or takes
    more than ten minutes.
    """
    most_seconds = 600.0
    whole_function = getattr(function, "func", function)  # that of a partial one
    call = f"{whole_function.__name__}{arguments}"
    with open_pool(1) as pool:
        future = pool.submit(_call, function, arguments, named)
        try:
            return future.result(most_seconds)
        except TimeoutError:
            if future.done():  # the function's own error
                raise
            raise UserError(
                f"{call} did not finish within {most_seconds:.0f} s; measure less at a time"
            ) from None


def _call(
    function: Callable[Arguments, Result], arguments: tuple[object, ...], named: dict[str, object]
) -> Result:
    # undo the start method that a spawned process inherits, so that loaders start theirs as usual
    multiprocessing.set_start_method(None, force=True)
    # first of all that happens at the end, when the result has been sent
    multiprocessing.util.Finalize(None, _end_at_once, exitpriority=1000)
    try:
        return function(*arguments, **named)  # type: ignore[arg-type]
    finally:
        # after the measurement, Keras's threads print errors because fit() was stopped early
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)


def _end_at_once() -> None:
    """End this process and those that it started.

    The usual end may wait for ever for the processes of a fit() of Keras that was stopped early.
    """
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has just ended
            process.kill()
    os._exit(0)


def run_bcclone(*words: object) -> tuple[Any, str]:
    """Run a command of bcclone; return its --json and its other output.

    Raises UserError with the last line of that output.
    """
    line = [sys.executable, "-m", "bcclone", *map(str, words), "--json"]
    completed = subprocess.run(line, capture_output=True, text=True, check=False)
    if completed.returncode:
        lines = completed.stderr.strip().splitlines() or ["no message"]
        raise UserError(f"bcclone {words[0]} failed: {lines[-1]}")
    return json.loads(completed.stdout or "null"), completed.stderr


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 on which nobody listens now."""
    with ExitStack() as stack:
        ports = []
        for _ in range(count):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            ports.append(listener.getsockname()[1])
        return ports


def await_answer(url: str, process: subprocess.Popen[Any]) -> bool:
    """Wait until a page answers, also while it says that something is being loaded.

    Returns whether it did before the process that serves it ended.
    """
    while process.poll() is None:
        try:
            urllib.request.urlopen(url).close()
            return True
        except urllib.error.HTTPError as loading:
            loading.close()
            return True
        except OSError:
            time.sleep(0.005)
    return False


@contextmanager
def folder_of(kept: Path | None) -> Iterator[Path]:
    """Yield the folder that keeps results, or without one a temporary folder."""
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with TemporaryDirectory(prefix="bcclone-") as folder:
        yield Path(folder)


def once(path: Path, measure: Callable[[], Any], text: str, notify: Notify) -> Any:
    """Return the JSON values in a file; if it does not exist, measure and write them."""
    if not path.exists():
        notify(text)
        write_text(path, json.dumps(measure(), indent=1))
    return json.loads(path.read_text(encoding="utf-8"))
