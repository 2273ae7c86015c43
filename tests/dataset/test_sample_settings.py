"""Settings of samples are checked, and read from stores and models."""

import json
import re
from dataclasses import asdict

import pytest

from bcclone.dataset.sample_settings import SampleSettings, parse_correction


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
        ({"cameras": ("left", "left")}, "cameras left,left, expected some of center,left,right"),
        ({"correction": 2.0}, "correction 2.0, expected 0 to 1, or auto"),
        ({"correction": "automatic"}, "correction automatic, expected 0 to 1, or auto"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_with_the_expected_range(wrong, reason):
    with pytest.raises(ValueError, match=f"^{re.escape(reason)}$"):
        SampleSettings(**wrong)


def test_cameras_and_corrections_are_parsed():
    assert (parse_correction("auto"), parse_correction("0.25")) == ("auto", 0.25)
    with pytest.raises(ValueError, match="'strong', expected a number or auto"):
        parse_correction("strong")
