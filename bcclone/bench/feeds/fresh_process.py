"""A function -> its answer, computed in a fresh process of its own."""

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar, cast

from bcclone.child_process import become_worker
from bcclone.errors import UserError

_LONGEST_SECONDS = 600.0
_END_SECONDS = 20.0

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


def alone(function: Callable[Arguments, Answer], *arguments: Arguments.args, **named: Arguments.kwargs) -> Answer:
    """Call a function of a module in a new process that has imported nothing yet; what it raises is raised here.

    Raises UserError when the process breaks off or gives no answer within ten minutes.
    """
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(theirs, function, arguments, named))
    process.start()
    theirs.close()
    try:
        if not mine.poll(_LONGEST_SECONDS):
            raise UserError(f"{function.__name__}{arguments} gave no answer within {_LONGEST_SECONDS:.0f} s")
        answer, error = mine.recv()
    except EOFError:
        process.join(_END_SECONDS)
        raise UserError(
            f"{function.__name__}{arguments} broke off with exit code {process.exitcode}; was there memory enough?"
        ) from None
    except BaseException:  # Ctrl-C, or its own silence: nobody wants the answer any more
        process.kill()
        raise
    finally:
        mine.close()
        process.join(_END_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
    if error is not None:
        raise error
    return cast(Answer, answer)


def _answer(
    theirs: Connection, function: Callable[..., object], arguments: tuple[object], named: dict[str, object]
) -> None:
    multiprocessing.set_start_method(None, force=True)  # whoever starts processes in here does it in the usual way
    become_worker()
    try:
        theirs.send((function(*arguments, **named), None))
    except Exception as error:  # who waits for the answer must hear of it
        theirs.send((None, error))
    # Keras's threads end noisily when a fit was ended early; it has been measured, so nobody needs to hear
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
