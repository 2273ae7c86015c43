"""The stretches of a drive whose steering does not follow the turns are found, and no others."""

import numpy as np
import pandas as pd
import pytest

from bcclone.diagnosis.agreement import Signals, measure_agreement
from bcclone.diagnosis.drive_rows import DriveRows
from bcclone.diagnosis.motion import Turns
from bcclone.diagnosis.steering_model import Kind
from bcclone.diagnosis.stretches import rows_of, segmented

ROWS = 3000  # at 15 rows a second: 200 s
SECONDS_A_ROW = 1 / 15
LAG_ROWS = 2  # the car turns so many rows after it is steered


def smoothed(values, rows):
    return np.convolve(values, np.ones(rows) / rows, "same")


def steering_of_a_road(seed=0):
    """Return the steering of bends to both sides, with straights between."""
    random = np.random.default_rng(seed)
    bends = np.repeat(random.choice([-0.4, -0.15, 0.0, 0.0, 0.2, 0.35], ROWS // 45 + 1), 45)[:ROWS]
    return smoothed(bends, 20) + random.normal(0, 0.01, ROWS)


def driven(steering, seed=0, has_speed=True, speed=1.0):
    """Return the rows of a car, and the turns of its camera.

    speed: of the car, in its usual speed, (rows,) or one for all rows
    """
    random = np.random.default_rng(seed + 100)
    pixels_a_row = 12 * np.roll(steering, LAG_ROWS) * speed + random.normal(0, 0.3, ROWS)
    table = pd.DataFrame(
        {
            "time_ms": np.round(1000 * SECONDS_A_ROW * np.arange(ROWS)).astype(np.int64),
            "line": np.arange(ROWS) + 1,
            "steering": steering,
            "throttle": 0.3,
            "speed_mph": 15.0 * speed if has_speed else 0.0,
        }
    )
    rows = DriveRows.of(table, table[:0])
    step = np.ones(ROWS - 1)
    turns = Turns(pixels_a_row[1:], 0 * step, 0.9 * step, step > 0)
    return rows, turns


def found(rows, turns):
    signals = Signals(rows, turns)
    segmentation = segmented(signals, measure_agreement(signals))
    assert segmentation is not None
    return segmentation.stretches


def mirrored(steering, first, last):
    return -steering[first:last]


def late(steering, first, last):
    return steering[first - 15 : last - 15]


def early(steering, first, last):
    return steering[first + 15 : last + 15]


def of_elsewhere(steering, first, last):
    return np.roll(steering, 700)[first:last]


def noise(steering, first, last):
    return np.random.default_rng(3).normal(0, 0.3, last - first)


def stuck(steering, first, last):
    return np.full(last - first, 0.1)


def test_a_gentle_drive_that_is_slightly_off_for_a_second_is_not_mirrored():
    turned = 0.15 * steering_of_a_road()
    turned[990:1060] = 0.0
    turned[1010:1034] = 0.017
    steering = turned.copy()
    steering[1010:1034] = -0.032
    rows, turns = driven(turned)
    assert found(rows.with_steering(steering), turns) == ()
    steering[2000:2060] = mirrored(steering, 2000, 2060)
    (stretch,) = found(rows.with_steering(steering), turns)
    assert stretch.kind is Kind.MIRRORED
    assert (stretch.first, stretch.last) == pytest.approx((2000, 2059), abs=25)


def test_a_drive_without_a_fault_has_no_stretch():
    assert found(*driven(steering_of_a_road())) == ()


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (mirrored, Kind.MIRRORED),
        (late, Kind.LATE),
        (early, Kind.EARLY),
        (of_elsewhere, Kind.UNRELATED),
        (noise, Kind.UNRELATED),
        (stuck, Kind.UNRELATED),
    ],
)
def test_ten_seconds_with_a_fault_are_found_row_by_row(fault, kind):
    first, last = 1500, 1650
    good = steering_of_a_road()
    rows, turns = driven(good)
    steering = good.copy()
    steering[first:last] = fault(good, first, last)
    stretches = found(rows.with_steering(steering), turns)
    named = rows_of(stretches)
    faulty = np.arange(first, last)
    assert len(np.intersect1d(named, faulty)) > 0.8 * len(faulty)
    assert len(np.setdiff1d(named, faulty)) < 0.1 * len(faulty)
    assert kind in {stretch.kind for stretch in stretches}
    assert sum(stretch.good_rows for stretch in stretches) < 0.1 * len(named)


def test_faults_far_apart_do_not_condemn_what_lies_between_them():
    good = steering_of_a_road()
    rows, turns = driven(good)
    steering = good.copy()
    steering[400:550] = -good[400:550]
    steering[1400:1520] = noise(good, 1400, 1520)
    steering[2500:2650] = -good[2500:2650]
    named = rows_of(found(rows.with_steering(steering), turns))
    faulty = np.concatenate([np.arange(400, 550), np.arange(1400, 1520), np.arange(2500, 2650)])
    assert len(np.intersect1d(named, faulty)) > 0.9 * len(faulty)
    assert len(np.setdiff1d(named, faulty)) < 0.1 * len(faulty)


def test_in_a_mirrored_drive_the_stretch_is_named_that_is_not_mirrored():
    good = steering_of_a_road()
    rows, turns = driven(good)
    steering = -good
    # both ends lie in bends: on a straight, mirrored steering is as good as the other
    steering[1000:1240] = good[1000:1240]
    (stretch,) = found(rows.with_steering(steering), turns)
    assert stretch.kind is Kind.MIRRORED
    assert abs(stretch.first - 1000) < 15
    assert abs(stretch.last - 1239) < 15


def test_without_speeds_a_slower_car_is_no_fault():
    speed = np.ones(ROWS)
    speed[1000:1400] = 0.45
    assert found(*driven(steering_of_a_road(), has_speed=False, speed=speed)) == ()
