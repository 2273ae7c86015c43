"""Telemetries that came while a slow model was asked are late, and no others."""

from dataclasses import replace

import pytest

from bcclone.drive.arbiter import MANUAL, Reply
from bcclone.drive.driver import Decision
from bcclone.drive.late_telemetries import LateTelemetries
from bcclone.drive.protocol import Control, Telemetry

TELEMETRY = '42["telemetry",{"speed":"1"}]'
DECISION = Decision(1, Telemetry(0.0, 0.0, 1.0, b""), Control(0.1, 0.2), 0.1, 10.0)
ASKED = Reply(DECISION.control, decision=DECISION)
REPEATED = Reply(DECISION.control, decision=replace(DECISION, repeated=True))


def late_of(reply, too_slow=True, waiting=(), has_begun=False, reads=4):
    """Return which of the telemetries that are read after a reply are late."""
    late = LateTelemetries()
    late.note_answer(reply, too_slow, lambda: (waiting, has_begun))
    return [late.take() for _ in range(reads)]


def test_what_waits_for_the_answer_of_a_slow_model_is_late_once():
    waiting = [TELEMETRY, "2", TELEMETRY]  # a ping is no telemetry
    assert late_of(ASKED, waiting=waiting) == [True, True, False, False]
    assert late_of(ASKED, waiting=waiting, has_begun=True) == [True, True, True, False]
    assert late_of(ASKED) == [False] * 4


@pytest.mark.parametrize(("reply", "too_slow"), [(ASKED, False), (REPEATED, True), (MANUAL, True)])
def test_nothing_is_late_where_no_slow_model_was_asked(reply, too_slow):
    assert not any(late_of(reply, too_slow, [TELEMETRY]))


def test_a_new_answer_counts_anew():
    late = LateTelemetries()
    late.note_answer(ASKED, True, lambda: ([TELEMETRY, TELEMETRY], False))
    late.note_answer(ASKED, True, lambda: ([], False))
    assert not late.take()
