"""Results and errors come in order, are computed only so far ahead, and no thread runs after the block."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from bcclone.system.prefetch import prefetch_ordered


def slow_square(number):
    time.sleep(0.002 * (number % 3))
    return number * number


def threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("bcclone-prefetch")]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not threads()


def test_results_come_in_the_order_of_the_items():
    with prefetch_ordered(slow_square, range(50), 4, ahead=8) as results:
        assert list(results) == [number * number for number in range(50)]
        assert next(results, None) is None


def test_no_more_items_are_taken_than_are_allowed_ahead():
    taken = []
    with prefetch_ordered(slow_square, (taken.append(n) or n for n in range(100)), 2, ahead=3) as results:
        for number in range(10):
            next(results)
            assert len(taken) <= number + 3


def fail_at_five(number):
    if number == 5:
        raise ValueError("five")
    return number


def items_that_fail():
    yield from range(5)
    raise ValueError("five")


@pytest.mark.parametrize(("function", "items"), [(fail_at_five, range(9)), (abs, items_that_fail())])
def test_an_error_is_raised_after_the_results_before_it(function, items):
    with prefetch_ordered(function, items, 3, ahead=9) as results:
        assert [next(results) for _ in range(5)] == [0, 1, 2, 3, 4]
        with pytest.raises(ValueError, match="five"):
            next(results)


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_leaving_early_cancels_what_has_not_begun_and_waits_for_the_rest(error):
    begun, ended = [], []

    def work(number):
        begun.append(number)
        time.sleep(0.05)
        ended.append(number)

    def interrupted():
        with prefetch_ordered(work, range(100), 2, ahead=50) as results:
            next(results)
            raise error

    with pytest.raises(error):
        interrupted()
    assert sorted(begun) == sorted(ended)
    assert len(begun) < 10


def test_an_executor_stays_open():
    with ThreadPoolExecutor(2) as executor:
        for _ in range(2):
            with prefetch_ordered(slow_square, range(5), executor, ahead=2) as results:
                assert list(results) == [0, 1, 4, 9, 16]


def test_a_result_is_not_kept_once_it_has_been_given():
    class Big:
        alive = 0

        def __init__(self, _):
            Big.alive += 1

        def __del__(self):
            Big.alive -= 1

    with prefetch_ordered(Big, range(20), 1, ahead=2) as results:
        for _ in results:
            assert Big.alive <= 4
