"""What a page sends is read or refused with a reason; what it gets can be taken apart again."""

import json

import pytest

from bcclone.drive.page.messages import (
    ControlChanges,
    Drawn,
    HandsMoved,
    WheelRequest,
    parse_message,
    with_pictures,
)
from bcclone.drive.wheel import HandInput

CONTROLS = ("recording", "set_speed_mph", "paused")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"drawn": 7}', Drawn(7)),
        ('{"input": 3, "hands": {"steering_key": -1}}', HandsMoved(3, HandInput(steering_key=-1))),
        ('{"set": {"recording": true, "set_speed_mph": 12}}', ControlChanges(recording=True, set_speed_mph=12)),
        ('{"wheel": "ask"}', WheelRequest("ask")),
    ],
)
def test_a_message_of_each_kind_is_read(text, message):
    assert parse_message(text, CONTROLS) == message


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "{}", "3", b"\xff", '{"drawn": -1}', '{"drawn": true}', '{"drawn": "1"}', '{"input": 1}',
        '{"input": 1, "hands": {"steering": 2}}', '{"set": {}}', '{"set": {"speed": 1}}', '{"set": {"paused": 1}}',
        '{"set": {"autonomous": true}}',
        '{"set": {"set_speed_mph": 61}}', '{"set": {"set_speed_mph": NaN}}', '{"wheel": "take"}', '{"else": 1}',
    ],
)  # fmt: skip
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        parse_message(text, CONTROLS)


def test_a_message_with_pictures_can_be_taken_apart():
    data = with_pictures({"frame": 5}, b"jpeg", b"mask")
    length = int.from_bytes(data[:4], "big")
    state = json.loads(data[4 : 4 + length])
    assert state == {"frame": 5, "pictures": [4, 4]}
    assert data[4 + length :] == b"jpegmask"
