"""Settings of samples are checked, and read from stores and models."""

import json
import re
from dataclasses import asdict

import pytest

from bcclone.dataset.sample_settings import SampleSettings, parse_cameras, parse_correction


def test_settings_are_read_from_a_store_and_from_the_model_of_the_lake_which_has_an_older_name():
    settings = SampleSettings(cameras=("left",), frame_offsets=4)
    stored = json.loads(json.dumps(asdict(settings)))
    assert SampleSettings.stored(stored) == settings
    stored["previous"] = stored.pop("frame_offsets")
    assert SampleSettings.stored(stored) == settings


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"cameras": ()}, "cameras none, expected some of center,left,right"),
        ({"cameras": ("front",)}, "cameras front, expected some of center,left,right"),
        ({"cameras": ("left", "left")}, "cameras left,left, expected some of center,left,right"),
        ({"correction": 2.0}, "correction 2.0, expected 0 to 1, or auto"),
        ({"correction": float("nan")}, "correction nan, expected 0 to 1, or auto"),
        ({"correction": "automatic"}, "correction automatic, expected 0 to 1, or auto"),
        ({"smooth_seconds": -0.1}, "smooth seconds -0.1, expected 0 to 2"),
        ({"lead_seconds": float("nan")}, "lead seconds nan, expected -1 to 2"),
        ({"lookahead_seconds": 0.0}, "lookahead seconds 0, expected 0.2 to 5"),
        ({"frame_offsets": -1}, "frame offsets -1, expected 0 to 100"),
        ({"split": "thirds"}, "split thirds, expected one of blocks, random"),
        ({"validation": 1.0}, "validation 1, expected from 0 and less than 1"),
        ({"block_seconds": 0.0}, "block seconds 0, expected more than 0"),
        ({"block_seconds": 1_000_001.0}, "block seconds 1e+06, expected more than 0"),
        ({"seed": -1}, "seed -1, expected 0 or more"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_with_the_expected_range(wrong, reason):
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        SampleSettings(**wrong)


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("correction", 0, 1),
        ("lookahead_seconds", 0.2, 5),
        ("smooth_seconds", 0, 2),
        ("lead_seconds", -1, 2),
        ("frame_offsets", 0, 100),
        ("validation", 0, 0.999),
        ("block_seconds", 1e-9, 1e6),
    ],
)
def test_both_ends_of_a_range_are_allowed(name, least, most):
    for value in (least, most):
        assert getattr(SampleSettings(**{name: value}), name) == value


def test_cameras_and_corrections_are_parsed():
    assert parse_cameras("left, center") == ("left", "center")
    assert (parse_correction("auto"), parse_correction("0.25")) == ("auto", 0.25)
    with pytest.raises(ValueError, match="'strong', expected a number or auto"):
        parse_correction("strong")
