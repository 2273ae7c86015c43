"""What a page sends is done or refused with a reason; what it gets can be taken apart again."""

import json
import threading
import time
from types import SimpleNamespace

import pytest

from bcclone.drive.hands import HandInput, Hands
from bcclone.drive.page import Pages


class Session:
    """A play without frames, which keeps what pages set, and what the hands did then."""

    controls = ("recording", "set_speed_mph", "paused")

    def __init__(self):
        self.hands = Hands()
        self.changes = []
        self.inputs = []

    def newest(self):
        return None

    def set(self, changes):
        self.changes.append(changes)
        self.inputs.append(self.hands.input)


def say(*texts, session=None):
    """Open a page that sends these texts and closes; return the errors that it got."""
    received = []
    queue = [*texts, None]
    socket = SimpleNamespace(wait=lambda: queue.pop(0), send=received.append, close=lambda: None)
    server = SimpleNamespace(threads=threading, sleep=time.sleep)
    Pages(session or Session(), server).serve(socket)
    return [unpacked(message)[0]["error"] for message in received]


def unpacked(data):
    """Return the object and the pictures of a message."""
    length = int.from_bytes(data[:4], "big")
    return json.loads(data[4 : 4 + length]), data[4 + length :]


def test_a_page_sets_controls_and_moves_its_hands():
    session = Session()
    texts = (
        '{"input": 3, "hands": {"steering_key": -1}}',
        '{"set": {"recording": true, "set_speed_mph": 12}}',
    )
    assert say(*texts, '{"drawn": 7}', '{"wheel": "ask"}', session=session) == []
    assert session.changes == [{"recording": True, "set_speed_mph": 12}]
    assert session.inputs == [(3, HandInput(steering_key=-1))]


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", "3", b"\xff"),
        *('{"drawn": -1}', '{"drawn": true}', '{"drawn": "1"}', '{"drawn": ' + "9" * 30 + "}"),
        *('{"input": 1}', '{"input": 1e999}', '{"input": ' + "9" * 5000 + "}"),
        '{"input": 1, "hands": {"steering": 2}}',
        '{"input": 1, "hands": {"steering": "left"}}',
        '{"input": 1, "hands": {"steering": NaN}}',
        '{"input": 1, "hands": {"steering_key": true}}',
        '{"input": 1, "hands": {"brake": 1}}',
        *('{"set": {}}', '{"set": {"speed": 1}}', '{"set": {"paused": 1}}'),
        *('{"set": {"set_speed_mph": 61}}', '{"set": {"set_speed_mph": NaN}}'),
        '{"set": {"autonomous": true}}',
        *('{"wheel": "keep"}', '{"else": 1}'),
        *("[" * 100_000, "[" * 400 + "]" * 400, '{"a": ' * 900 + "1" + "}" * 900),
    ],
)
def test_anything_else_is_refused(text):
    (error,) = say(text)
    assert "expected" in error


def test_a_refusal_is_short_whatever_the_page_sent():
    long = "x" * 100_000
    for text in (
        '{"set": {"paused": "%s"}}',
        '{"input": 1, "hands": {"steering": "%s"}}',
        '{"drawn": "%s"}',
        "%s",
    ):
        (error,) = say(text % long)
        assert len(error) < 400
