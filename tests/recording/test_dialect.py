"""One line of a log is split in every dialect, or refused with what is missing."""

import pytest

from bcclone.recording.dialect import (
    header_error,
    is_known_header,
)

KNOWN = "center,left,right,steering,throttle,brake,speed"


@pytest.mark.parametrize(
    ("header", "error"),
    [
        *(
            (header, None)
            for header in (KNOWN, KNOWN.upper(), f"index,{KNOWN}", f"Unnamed: 0,index,{KNOWN}")
        ),
        *(
            (header, None)
            for header in (KNOWN.replace(",", '";"').join('""'), KNOWN.replace(",", " , "))
        ),
        (
            KNOWN.replace("steering,throttle", "throttle,steering"),
            "'throttle' as column 4, expected as column 5",
        ),
        (
            f"index,{KNOWN}".replace("brake,speed", "speed,brake"),
            "'speed' as column 6, expected as column 7",
        ),
        (
            f"{KNOWN}_kmh",
            "'speed_kmh' as column 7, expected steering from -1 to 1, and speed in mph",
        ),
    ],
)
def test_a_header_is_known_in_any_usual_spelling_or_says_what_contradicts_it(header, error):
    assert (header_error(header), is_known_header(header)) == (error, error is None)
