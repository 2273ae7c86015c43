"""Of several pages one drives; the others watch, ask, and get the wheel."""

import pytest

from bcclone.drive.wheel import ANSWER_SECONDS, Seat, SeatView


class Time:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def seat(time):
    seat = Seat(time)
    for page in ("first", "second", "third"):
        seat.join(page)
    return seat


def test_the_first_page_drives_and_the_others_watch(seat):
    assert [seat.view(page).drives for page in ("first", "second", "third")] == [True, False, False]


def test_the_oldest_page_drives_when_the_driver_leaves(seat):
    seat.leave("first")
    assert seat.driver == "second"
    seat.leave("second")
    seat.leave("third")
    assert seat.driver is None


@pytest.mark.parametrize(("give", "driver"), [(True, "third"), (False, "first")])
def test_the_driver_gives_or_keeps_the_wheel(seat, give, driver):
    seat.ask("third")
    assert seat.view("first") == SeatView(drives=True, asked=True)
    assert seat.view("third") == SeatView(drives=False, asking=True)
    seat.answer("first", give)
    assert seat.driver == driver
    assert not any(seat.view(page).asked or seat.view(page).asking for page in ("first", "third"))


def test_nobody_else_gives_the_wheel_away(seat):
    seat.ask("third")
    seat.answer("second", give=True)
    assert seat.driver == "first"


def test_a_driver_that_does_not_answer_loses_the_wheel(seat, time):
    seat.ask("second")
    time.now = ANSWER_SECONDS - 0.1
    seat.check()
    assert seat.driver == "first"
    time.now = ANSWER_SECONDS
    seat.check()
    assert seat.driver == "second"


def test_a_driver_that_sleeps_loses_the_wheel_at_once(seat):
    seat.ask("second")
    seat.check(asleep=True)
    assert seat.driver == "second"


def test_the_page_that_asks_drives_when_the_driver_leaves(seat):
    seat.ask("third")
    seat.leave("first")
    assert seat.driver == "third"
    assert not seat.view("third").asking


def test_the_wish_of_a_page_that_leaves_is_forgotten(seat):
    seat.ask("third")
    seat.leave("third")
    assert not seat.view("first").asked
    seat.ask("second")
    seat.answer("first", give=True)
    assert seat.driver == "second"
