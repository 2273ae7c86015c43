"""The events that a child process tells its parent."""

import os
import sys

from bcclone.system.parent_process import ASKING, Event, read_events
from tests.processes import said

CHILD = """
from bcclone.system.parent_process import NOTE, tell_parent
print("before")
tell_parent("began")
print("after, in\\ntwo lines")
tell_parent(NOTE, "note: é\\x1e\\n")
"""


def test_events_are_told_only_to_who_asks_and_keep_their_place_among_what_is_printed():
    plain = said(sys.executable, "-c", CHILD)
    assert plain.stdout == "before\nafter, in\ntwo lines\n"
    asked = said(sys.executable, "-c", CHILD, env=os.environ | ASKING)
    assert asked.stdout.startswith('before\n\x1e{"event": "began", "value": null}\nafter')
    assert read_events(asked.stdout) == [
        Event("began", None, "after, in\ntwo lines\n"),
        Event("note", "note: é\x1e\n", ""),
    ]


def test_an_event_that_is_not_yet_complete_is_left_for_the_next_reading():
    assert read_events('\x1e{"event": "listening", "value": 4567}') == []
    assert read_events('\x1e{"event": "listening", "value": 4567}\n') == [
        Event("listening", 4567, "")
    ]
