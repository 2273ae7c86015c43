"""The wire's texts, literally."""

import base64
import json

import pytest

from bcclone.protocol import Control, ProtocolError, Telemetry, format_steer, parse_telemetry

JPEG = b"\xff\xd8 picture \xff\xd9"
IMAGE = base64.b64encode(JPEG).decode()


def telemetry(**changes):
    """The object in `42["telemetry",{...}]` as the simulator writes it."""
    text = '{"steering_angle":"-3.7500","throttle":"0.3000","speed":"12.5000","image":"IMAGE"}'
    return json.loads(text.replace("IMAGE", IMAGE)) | changes


def test_telemetry_of_a_machine_with_decimal_points():
    assert parse_telemetry(telemetry()) == Telemetry(-3.75, 0.3, 12.5, JPEG, decimal_comma=False)


def test_telemetry_of_a_machine_with_decimal_commas():
    parsed = parse_telemetry(telemetry(steering_angle="-3,7500", throttle="0,3000", speed="12,5000"))
    assert parsed == Telemetry(-3.75, 0.3, 12.5, JPEG, decimal_comma=True)


@pytest.mark.parametrize("nothing", [None, {}])
def test_a_car_driven_by_hand_sends_nothing(nothing):
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
        ("12", 12.0, False),
        ("-0.0000", 0.0, False),
        ("\u22120,5000", -0.5, True),
        ("1e-05", 1e-05, False),
        (12.5, 12.5, False),
        (12, 12.0, False),
    ],
)
def test_numbers_of_every_culture(written, speed, comma):
    parsed = parse_telemetry(telemetry(speed=written))
    assert (parsed.speed_mph, parsed.decimal_comma) == (speed, comma)


BAD = {
    "a list": [1],
    "a text": "telemetry",
    "a number": 7,
    "no speed": {k: v for k, v in telemetry().items() if k != "speed"},
    "null speed": telemetry(speed=None),
    "true speed": telemetry(speed=True),
    "a word": telemetry(speed="fast"),
    "empty": telemetry(speed=""),
    "two points": telemetry(speed="1..5"),
    "NaN": telemetry(speed="NaN"),
    "infinity": telemetry(speed="Infinity"),
    "a number NaN": telemetry(speed=float("nan")),
    "digits without end": telemetry(speed="9" * 100_000),
    "an endless number": telemetry(speed=10**400),
    "no image": telemetry(image=None),
    "image in an object": telemetry(image={}),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_telemetry_is_refused_with_a_reason(kind):
    with pytest.raises(ProtocolError, match=r"\w"):
        parse_telemetry(BAD[kind])


@pytest.mark.parametrize("image", ["@@@", "/9j/4", ""])
def test_an_image_that_is_no_base64_is_a_frame_that_cannot_be_read(image):
    parsed = parse_telemetry(telemetry(image=image))
    assert (parsed.jpeg, parsed.speed_mph) == (b"", 12.5)


def test_steer_is_two_texts_in_the_machines_culture():
    control = Control(steering=0.125, throttle=-0.3)
    assert json.dumps(format_steer(control, decimal_comma=False)) == (
        '{"steering_angle": "0.125000", "throttle": "-0.300000"}'
    )
    assert format_steer(control, decimal_comma=True) == {"steering_angle": "0,125000", "throttle": "-0,300000"}


def test_steer_never_holds_an_exponent():
    assert format_steer(Control(1e-9, -1e-9), False) == {"steering_angle": "0.000000", "throttle": "-0.000000"}


@pytest.mark.parametrize("value", [1.5, -1.0001, float("nan"), float("inf")])
def test_a_control_out_of_range_cannot_be_made(value):
    with pytest.raises(ValueError, match="expected -1 to 1"):
        Control(value, 0.0)
    with pytest.raises(ValueError, match="expected -1 to 1"):
        Control(0.0, value)
