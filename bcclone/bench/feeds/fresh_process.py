"""Call a function in a fresh process, so that memory and CPU time are its own."""

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import ParamSpec, TypeVar

from bcclone.child_process import process_pool
from bcclone.errors import UserError

_LONGEST_SECONDS = 600.0

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def in_fresh_process(
    function: Callable[Arguments, Answer], *arguments: Arguments.args, **named: Arguments.kwargs
) -> Answer:
    """Call a function of a module in a spawned process and return its result; its errors are raised here.

    Raises UserError if the process breaks off or takes more than ten minutes.
    """
    with process_pool(1, _use_default_start_method) as pool:
        future = pool.submit(_call, function, arguments, named)
        try:
            return future.result(_LONGEST_SECONDS)
        except BrokenProcessPool:
            raise UserError(
                f"the process of {function.__name__}{arguments} broke off; was there enough memory?"
            ) from None
        except TimeoutError:
            if future.done():  # the function's own error
                raise
            raise UserError(f"{function.__name__}{arguments} did not finish within {_LONGEST_SECONDS:.0f} s") from None


def _use_default_start_method() -> None:
    """Undo the start method that a spawned process inherits, so that loaders start their processes as usual."""
    multiprocessing.set_start_method(None, force=True)


def _call(function: Callable[Arguments, Answer], arguments: tuple[object, ...], named: dict[str, object]) -> Answer:
    try:
        return function(*arguments, **named)  # type: ignore[arg-type]
    finally:
        # after the measurement, Keras's threads print errors because fit() was stopped early
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
