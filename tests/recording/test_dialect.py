"""One line of a log is split in every dialect, or refused with what is missing."""

import pytest

from bcclone.recording.dialect import (
    header_error,
    is_known_header,
    split_line,
    text_of,
    with_decimal_point,
)
from bcclone.recording.row import RowError

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


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no image path for the center camera"),
        (
            f"{'c' * 252}.jpg,l.jpg,r.jpg,0,0,0,9",
            "the name of the center image has 256 bytes, expected at most 255",
        ),
    ],
)
def test_a_line_without_usable_images_says_which(text, error):
    with pytest.raises(RowError, match=f"^{error}"):
        split_line(1, text)
    assert split_line(1, f"{'c' * 251}.jpg,,r.jpg, 0.5, 0,0, 9").images == (
        "c" * 251 + ".jpg",
        "",
        "r.jpg",
    )


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("\ufeff\ufeffa\r\nb\rc\n".encode(), "a\nb\nc\n"),
        ("a,b".encode("utf-16") + b"c", "a,b\ufffd"),
        ("a\u017f".encode("utf-16-le") + b"c", "a\u017f\ufffd"),
        ("\u017fa".encode("utf-16-le"), "\u017fa"),
        ("M\u00fcller".encode("cp1252") + b"\x81", "M\u00fcller\ufffd"),
        (b"ab\0c", "abc"),
        (b"abcd\0e", "abcde"),
    ],
)
def test_a_log_in_any_encoding_becomes_text_whose_lines_end_with_a_line_feed(data, text):
    assert text_of(data) == text


def test_only_a_number_gets_its_decimal_point():
    numbers = ("-1,5", "1,5e-05", "a,b", "1,2,3", "2.5", "7")
    assert [with_decimal_point(number) for number in numbers] == [
        "-1.5",
        "1.5e-05",
        "a,b",
        "1,2,3",
        "2.5",
        "7",
    ]


def test_a_line_that_never_ends_is_a_bad_row():
    line = "c.jpg,l.jpg,r.jpg,0,0,0,9"
    assert split_line(1, line + " " * (20_000 - len(line))).numbers == ("0", "0", "0", "9")
    with pytest.raises(RowError, match="the line has 20001 characters, expected at most 20000"):
        split_line(1, line + " " * (20_001 - len(line)))
