"""The frames of a run folder are found among those of a simulated world by their bytes."""

import pytest

from bcclone.recording.run_tables import TracePoint, read_trace
from bcclone.simulator.trace import ShownFrame, digest_of, write_trace
from tests.video.video_runs import name_of


def shown(*jpegs):
    return [
        ShownFrame(digest_of(jpeg), TracePoint(number / 10, "lake", number, 0, 0)) for number, jpeg in enumerate(jpegs)
    ]


@pytest.mark.parametrize(
    ("recorded", "indices"),
    [
        ([b"a", b"b", b"c"], [0, 2, 4]),
        ([b"b", b"c"], [2, 4]),  # the recorder dropped some
        ([b"a", b"a", b"b", b"b"], [0, 1, 2, 3]),  # a car that stands still
        ([b"a", b"x", b"c"], [0, None, 4]),  # of another drive
        ([b"c", b"a"], [4, None]),  # not in this order
    ],
)
def test_frames_are_matched_by_their_bytes_in_order(tmp_path, recorded, indices):
    for number, jpeg in enumerate(recorded):
        (tmp_path / name_of(number * 10)).write_bytes(jpeg)
    found = sum(index is not None for index in indices)
    assert write_trace(tmp_path, shown(b"a", b"a", b"b", b"b", b"c")) == found
    trace = read_trace(tmp_path)
    points = [trace.get(name_of(number * 10)) for number in range(len(recorded))]
    assert [point and point.x_m for point in points] == indices
