"""Results and errors come in order, are computed only so far ahead, and no thread runs after the
block.
"""

import sys
import threading
import time

import pytest

from bcclone.system.prefetch import prefetch_ordered
from tests.processes import said


def slow_square(number):
    time.sleep(0.002 * (number % 3))
    return number * number


def threads():
    return [
        thread for thread in threading.enumerate() if thread.name.startswith("bcclone-prefetch")
    ]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not threads()


@pytest.mark.parametrize(("threads", "ahead"), [(4, 8), (2, 3), (0, 0)])
def test_results_come_in_the_order_of_the_items_which_are_taken_only_so_far_ahead(threads, ahead):
    taken = []
    items = (taken.append(number) or number for number in range(50))
    with prefetch_ordered(slow_square, items, threads, ahead) as results:
        for number in range(50):
            assert next(results) == number * number
            assert len(taken) <= number + 1 + ahead
        assert next(results, None) is None


def fail_at_five(number):
    if number == 5:
        raise ValueError("five")
    return number


@pytest.mark.parametrize(
    ("function", "items"), [(fail_at_five, range(9)), (abs, map(fail_at_five, range(9)))]
)
def test_an_error_is_raised_after_the_results_before_it(function, items):
    with prefetch_ordered(function, items, 3, ahead=9) as results:
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(ValueError, match="five"):
            next(results)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_leaving_early_cancels_what_has_not_begun_and_waits_for_the_rest(error):
    begun = []
    ended = []

    def work(number):
        begun.append(number)
        time.sleep(0.2)
        ended.append(number)

    def interrupted():
        with prefetch_ordered(work, range(100), 2, ahead=50) as results:
            next(results)
            raise error

    with pytest.raises(error):
        interrupted()
    assert sorted(begun) == sorted(ended)
    assert len(begun) < 40  # of 51; the more, the later other programs let this one go on


def test_a_block_that_is_never_left_ends_with_the_process():
    """Ctrl-C can come between a thread's start and the block; a thread left inside OpenCV would
    abort Python.
    """
    script = """
import cv2, numpy as np, time
from bcclone.system.prefetch import prefetch_ordered
from tests.processes import said
image, flipped = np.zeros((512, 512, 3), np.uint8), np.empty((512, 512, 3), np.uint8)
flip = lambda _: cv2.flip(image, 1, dst=flipped) is None
prefetch = prefetch_ordered(flip, range(10**6), 2, ahead=10**6)
prefetch.__enter__()
time.sleep(0.05)
raise SystemExit(3)
"""
    done = said(sys.executable, "-c", script, timeout=300)
    assert (done.returncode, done.stderr) == (3, "")


def test_a_result_is_not_kept_once_it_has_been_given():
    class Big:
        alive = 0

        def __init__(self, _):
            Big.alive += 1

        def __del__(self):
            Big.alive -= 1

    with prefetch_ordered(Big, range(20), 1, ahead=2) as results:
        alive = [Big.alive for _ in results]
    assert len(alive) == 20
    assert max(alive) <= 4
