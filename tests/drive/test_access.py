"""Which requests are allowed, decided by their headers."""

import pytest

from bcclone.drive.settings import DriveSettings, is_this_machine
from bcclone.drive.wire.access import Access

TOKEN = "let me in"


def request(path="/socket.io/", address="127.0.0.1", host="127.0.0.1:4567", **more):
    return {"PATH_INFO": path, "REMOTE_ADDR": address, "HTTP_HOST": host, "QUERY_STRING": "EIO=4"} | more


def status_of(refusal):
    return refusal and refusal[0][:3]


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4567", "localhost:4567", "[::1]:4567", "192.168.1.5:4567", "LOCALHOST", ""]
)
def test_an_address_or_localhost_is_accepted_as_host(host):
    assert Access().refusal(request(host=host)) is None


@pytest.mark.parametrize("host", ["evil.example:4567", "127.0.0.1.evil.example", "localhost.evil.example", "[", "a b"])
def test_another_name_for_this_machine_is_refused(host):
    """DNS rebinding: a foreign page whose name points to this machine would have the rights of our page."""
    assert status_of(Access().refusal(request(host=host))) == "403"


@pytest.mark.parametrize(
    ("length", "status"), [("-1", "400"), ("x", "400"), ("1e3", "400"), ("9" * 30, "413"), ("²", "400")]
)
def test_an_invalid_or_too_large_length_is_refused(length, status):
    assert status_of(Access().refusal(request(CONTENT_LENGTH=length))) == status


def test_a_body_of_unknown_length_is_refused():
    assert status_of(Access().refusal(request(HTTP_TRANSFER_ENCODING="chunked"))) == "400"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_a_simulator_on_this_machine_needs_no_token(address):
    assert Access("0.0.0.0", TOKEN).refusal(request(address=address)) is None


def test_a_simulator_on_another_machine_needs_the_token_or_allow_from():
    access = Access("0.0.0.0", TOKEN, ("172.17.0.1",))
    assert status_of(access.refusal(request(address="172.17.0.2"))) == "401"
    assert status_of(access.refusal(request(address="172.17.0.2", QUERY_STRING="token=wrong"))) == "401"
    assert access.refusal(request(address="172.17.0.2", QUERY_STRING="EIO=4&token=let%20me%20in")) is None
    assert access.refusal(request(address="172.17.0.1")) is None


def test_the_page_is_allowed_so_that_it_can_ask_for_the_token():
    assert Access("0.0.0.0", TOKEN).refusal(request("/", address="172.17.0.2")) is None


def test_only_the_exact_token_is_accepted():
    access = Access("0.0.0.0", TOKEN)
    assert access.is_token(TOKEN)
    assert not any(access.is_token(guess) for guess in ("", "let me i", "let me in ", "löt"))
    assert Access().is_token("")


def test_pages_of_other_sites_have_another_origin():
    access = Access()
    assert access.is_same_origin(request())
    assert access.is_same_origin(request(HTTP_ORIGIN="http://127.0.0.1:4567"))
    for origin in ("http://evil.example", "http://127.0.0.1:9999", "null"):
        assert not access.is_same_origin(request(HTTP_ORIGIN=origin))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "my-machine"])
def test_a_host_for_other_machines_needs_a_token(host):
    with pytest.raises(ValueError, match="--token"):
        DriveSettings(host=host)
    assert DriveSettings(host=host, token=TOKEN).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_loopback_host_needs_no_token(host):
    assert is_this_machine(host)
    assert DriveSettings(host=host).token == ""


@pytest.mark.parametrize(
    "values",
    [
        {"port": 70000},
        {"speed_mph": 61},
        {"min_speed_mph": -1},
        {"max_latency_ms": float("inf")},
        {"allow_from": ("x",)},
        {"append": True},
    ],
)
def test_invalid_settings_are_refused_with_what_is_expected(values):
    with pytest.raises(ValueError, match=r"expected|name its folder"):
        DriveSettings(**values)
