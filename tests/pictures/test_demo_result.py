"""What the demo says of its drive."""

from pathlib import Path

import pytest

from bcclone.pictures.demo_result import DRIVE_STEP, FIRST_CLIP_STEP, DemoResult, TimedStep


@pytest.mark.parametrize(
    ("ended", "interventions", "stayed", "words"),
    [
        ("laps driven", 0, True, "The car stayed on the road."),
        ("laps driven", 2, False, "The car left the road on the way, and was set back."),
        (
            "the car has stood still for 20 s",
            0,
            False,
            "The car did not complete its drive: the car has stood still for 20 s.",
        ),
    ],
)
def test_the_last_line_says_whether_the_car_stayed_on_the_road(ended, interventions, stayed, words):
    steps = tuple(TimedStep(name, Path(name), 1.0, 2.0) for name in (FIRST_CLIP_STEP, DRIVE_STEP))
    drive = {
        "ended": ended,
        "interventions": interventions,
        "autonomy_percent": 90.0,
        "laps": 1.0,
        "mean_speed_mph": 9.0,
        "mean_abs_cross_track_m": 0.3,
        "max_abs_cross_track_m": 1.2,
        "request_to_steer_ms": {"p50": 3.1},
    }
    result = DemoResult(steps, drive, Path("page.html"))
    assert result.on_the_road == stayed
    assert result.as_text().splitlines()[-1] == words
