"""Telemetry and steer events, as literal texts."""

import base64
import json
import re

import pytest

from bcclone.drive.protocol import Control, ProtocolError, Telemetry, format_steer, parse_telemetry

JPEG = b"\xff\xd8 picture \xff\xd9"
IMAGE = base64.b64encode(JPEG).decode()


def telemetry(**changes):
    """The object in `42["telemetry",{...}]` as the simulator writes it."""
    text = '{"steering_angle":"-3.7500","throttle":"0.3000","speed":"12.5000","image":"IMAGE"}'
    return json.loads(text.replace("IMAGE", IMAGE)) | changes


def test_telemetry_with_decimal_points_is_read():
    assert parse_telemetry(telemetry()) == Telemetry(-3.75, 0.3, 12.5, JPEG, decimal_comma=False)


def test_telemetry_with_decimal_commas_is_read():
    parsed = parse_telemetry(telemetry(steering_angle="-3,7500", throttle="0,3000", speed="12,5000"))
    assert parsed == Telemetry(-3.75, 0.3, 12.5, JPEG, decimal_comma=True)


@pytest.mark.parametrize("nothing", [None, {}])
def test_an_empty_telemetry_means_driving_by_hand(nothing):
    assert parse_telemetry(nothing) is None


@pytest.mark.parametrize(
    ("written", "speed", "comma"),
    [
        ("1,234.5000", 1234.5, False),
        ("1.234,5000", 1234.5, True),
        ("1 234,5000", 1234.5, True),
        ("1\u00a0234,5000", 1234.5, True),
        ("1\u202f234,5000", 1234.5, True),
        ("1'234.5000", 1234.5, False),
        ("12,345,678.5000", 12345678.5, False),
        ("123.456,5000", 123456.5, True),
        ("+0,5000", 0.5, True),
        ("12", 12.0, False),
        ("-0.0000", 0.0, False),
        ("\u22120,5000", -0.5, True),
        ("1e-05", 1e-05, False),
        ("0" * 36 + "12.5", 12.5, False),
        (12.5, 12.5, False),
        (12, 12.0, False),
        (10**30 - 1, 1e30, False),
    ],
)
def test_numbers_with_decimal_points_and_commas_are_read(written, speed, comma):
    parsed = parse_telemetry(telemetry(speed=written))
    assert (parsed.speed_mph, parsed.decimal_comma) == (speed, comma)


@pytest.mark.parametrize("name", ["steering_angle", "throttle", "speed"])
def test_one_number_with_a_decimal_comma_is_enough(name):
    assert parse_telemetry(telemetry(**{name: "0,5000"})).decimal_comma


BAD = {
    "a list": ([1], "telemetry is a list, expected an object"),
    "a text": ("telemetry", "telemetry is a str, expected an object"),
    "a number": (7, "telemetry is a int, expected an object"),
    "no speed": (
        {k: v for k, v in telemetry().items() if k != "speed"},
        "speed is 'None', expected a number as text",
    ),
    "null speed": (telemetry(speed=None), "speed is 'None', expected a number as text"),
    "true speed": (telemetry(speed=True), "speed is 'True', expected a number as text"),
    "a long list": (telemetry(throttle=[0] * 1000), f"throttle is '[{'0, ' * 13}', expected a number as text"),
    "a word": (telemetry(speed="fast"), "speed is 'fast', expected a number"),
    "empty": (telemetry(speed=""), "speed is '', expected a number"),
    "marks not between thousands": (telemetry(speed="1234,567.5"), "speed is '1234,567.5', expected a number"),
    "two points": (telemetry(speed="1..5"), "speed is '1..5', expected a number"),
    "NaN": (telemetry(speed="NaN"), "speed is not finite"),
    "infinity": (telemetry(steering_angle="Infinity"), "steering_angle is not finite"),
    "a number NaN": (telemetry(speed=float("nan")), "speed is not finite"),
    "too many digits": (telemetry(speed="0" * 37 + "12.5"), "speed has 41 characters, expected a number"),
    "digits without end": (telemetry(speed="9" * 100_000), "speed has 100000 characters, expected a number"),
    "too large a number": (telemetry(speed=10**30), "speed is not finite"),
    "an endless number": (telemetry(speed=10**400), "speed is not finite"),
    "no image": (telemetry(image=None), "telemetry without an image, expected base64 text"),
    "image in an object": (telemetry(image={}), "telemetry without an image, expected base64 text"),
}


@pytest.mark.parametrize("kind", BAD)
def test_invalid_telemetry_is_refused_with_a_reason(kind):
    payload, reason = BAD[kind]
    with pytest.raises(ProtocolError, match=f"^{re.escape(reason)}$"):
        parse_telemetry(payload)


@pytest.mark.parametrize("image", ["@@@", "/9j@/4A==", "/9j/4", "/9j\xe9", ""])
def test_an_image_with_invalid_base64_is_an_unreadable_frame(image):
    parsed = parse_telemetry(telemetry(image=image))
    assert (parsed.jpeg, parsed.speed_mph) == (b"", 12.5)


def test_a_steer_event_is_two_texts_in_the_machines_culture():
    control = Control(steering=0.125, throttle=-0.3)
    assert json.dumps(format_steer(control, decimal_comma=False)) == (
        '{"steering_angle": "0.125000", "throttle": "-0.300000"}'
    )
    assert format_steer(control, decimal_comma=True) == {"steering_angle": "0,125000", "throttle": "-0,300000"}


def test_a_steer_event_has_no_exponent():
    assert format_steer(Control(1e-9, -1e-9), False) == {"steering_angle": "0.000000", "throttle": "-0.000000"}


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_full_lock_and_full_throttle_are_in_range(value):
    assert format_steer(Control(value, value), False) == {
        "steering_angle": f"{value}00000",
        "throttle": f"{value}00000",
    }


@pytest.mark.parametrize("value", [1.5, -1.0001, float("nan"), float("inf")])
def test_a_control_out_of_range_cannot_be_made(value):
    with pytest.raises(ValueError, match="expected -1 to 1"):
        Control(value, 0.0)
    with pytest.raises(ValueError, match="expected -1 to 1"):
        Control(0.0, value)
