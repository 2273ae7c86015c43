"""Which requests are allowed, by their headers, with a clock that the tests set."""

import re

import pytest

from bcclone.commands.recordings import PageSettings
from bcclone.drive.drive_settings import DriveSettings
from bcclone.game.play_settings import PlaySettings
from bcclone.system.errors import UserError
from bcclone.web.access import WRONG_TOKEN_SECONDS, Access, is_this_machine
from bcclone.web.server import listen
from tests.drive.drive_server import Clock

TOKEN = "let me in, please"


def request(path="/socket.io/", address="127.0.0.1", host="127.0.0.1:4567", **more):
    return {
        "PATH_INFO": path,
        "REMOTE_ADDR": address,
        "HTTP_HOST": host,
        "QUERY_STRING": "EIO=4",
    } | more


def status_of(refusal):
    return refusal and refusal[0][:3]


def test_only_addresses_and_names_of_this_server_are_accepted_as_host():
    for host in ("127.0.0.1:4567", "localhost:4567", "[::1]:4567", "192.168.1.5:4567", ""):
        assert Access().refusal(request(host=host)) is None, host
    # DNS rebinding: a foreign page whose name points to this machine would have the rights of ours
    for host in ("evil.example:4567", "127.0.0.1.evil.example", "localhost.evil.example", "["):
        assert status_of(Access().refusal(request(host=host))) == "403", host


def test_a_simulator_on_another_machine_needs_the_token_or_allow_from():
    access = Access("0.0.0.0", TOKEN, ("172.17.0.1",))

    def status(address, query="EIO=4"):
        return status_of(access.refusal(request(address=address, QUERY_STRING=query)))

    for address in ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "172.17.0.1"):
        assert status(address) is None
    assert status("172.17.0.2") == "401"
    assert status("172.17.0.2", "EIO=4&token=let%20me%20in,%20please") is None
    assert status("172.17.0.2", "token=wrong") == "401"
    # the page is allowed, so that it can ask for the token
    assert access.refusal(request("/", address="172.17.0.2")) is None


@pytest.mark.parametrize(
    "guess", ["", TOKEN[:-1], TOKEN + " ", TOKEN.upper(), "löt", "\ud800", "x" * 1_000_000]
)
def test_only_the_exact_token_is_accepted(guess):
    assert Access("0.0.0.0", TOKEN).accepts(TOKEN)
    assert not Access("0.0.0.0", TOKEN).accepts(guess)
    assert Access().accepts(guess)


def test_guesses_on_many_connections_share_one_delay():
    clock = Clock()
    access = Access("0.0.0.0", TOKEN, clock=clock)
    assert not access.accepts("wrong")
    for _ in range(1000):
        clock.seconds += WRONG_TOKEN_SECONDS / 1001
        # even the right one is not looked at, or a fast answer would tell it
        assert not access.accepts(TOKEN)
    clock.seconds = WRONG_TOKEN_SECONDS
    assert access.accepts(TOKEN)


FOREIGN = [
    {"HTTP_ORIGIN": "http://evil.example"},
    {"HTTP_ORIGIN": "http://127.0.0.1:9999"},
    {"HTTP_ORIGIN": "null"},
    {"HTTP_ORIGIN": ""},
    {"HTTP_ORIGIN": "null", "HTTP_HOST": ""},
    {"HTTP_ORIGIN": "http://evil.example", "HTTP_X_FORWARDED_HOST": "evil.example"},
    {"HTTP_ORIGIN": "http://evil.example", "HTTP_FORWARDED": "host=evil.example;proto=http"},
    {"HTTP_SEC_FETCH_SITE": "cross-site"},
    # another port of this machine
    {"HTTP_SEC_FETCH_SITE": "same-site", "HTTP_SEC_FETCH_MODE": "no-cors"},
    {"HTTP_SEC_FETCH_SITE": "nonsense"},
]
OWN = [
    {},
    {"HTTP_ORIGIN": "http://127.0.0.1:4567"},
    {"HTTP_ORIGIN": "https://127.0.0.1:4567", "HTTP_X_FORWARDED_HOST": "elsewhere.example"},
    {"HTTP_SEC_FETCH_SITE": "same-origin", "HTTP_SEC_FETCH_MODE": "cors"},
    {"HTTP_SEC_FETCH_SITE": "none", "HTTP_SEC_FETCH_MODE": "navigate"},
]
LINK = {"HTTP_SEC_FETCH_SITE": "cross-site", "HTTP_SEC_FETCH_MODE": "navigate"}


@pytest.mark.parametrize("path", ["/", "/socket", "/state", "/socket.io/"])
def test_pages_of_other_sites_have_no_access_and_our_own_and_persons_have(path):
    for headers in FOREIGN:
        assert status_of(Access().refusal(request(path) | headers)) == "403", headers
    for headers in OWN:
        assert Access().refusal(request(path) | headers) is None, headers
    # a link of another site opens the page and nothing else
    refusal = Access().refusal(request(path) | LINK)
    assert status_of(refusal) == (None if path == "/" else "403")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "my-machine"])
@pytest.mark.parametrize("settings", [DriveSettings, PlaySettings])
def test_a_host_for_other_machines_needs_a_token_that_nobody_guesses(host, settings):
    for token in ("", "4711", "x" * 11):
        with pytest.raises(ValueError, match="token.*12") as refused:
            settings(host=host, token=token)
    proposal = re.search(r"such as (\S+),", str(refused.value))[1]
    assert settings(host=host, token=proposal).token == proposal


@pytest.mark.parametrize("settings", [DriveSettings, PlaySettings, PageSettings])
def test_an_allowed_name_needs_a_token_and_is_a_name_alone(settings):
    for token in ("", "x" * 11):
        with pytest.raises(ValueError, match="allow_host hub.example.org .*token.*12"):
            settings(allow_host=("hub.example.org",), token=token)
    for wrong in ("https://hub.example.org", "hub.example.org:8000", "hub.org/user", "*.org", ""):
        with pytest.raises(ValueError, match="expected a name without"):
            settings(allow_host=("hub.example.org", wrong), token=TOKEN)
    assert settings(allow_host=("Hub.example.org", "192.168.1.5"), token=TOKEN).token == TOKEN


def test_an_allowed_name_opens_that_name_alone():
    access = Access(token=TOKEN, allow_host=("Hub.example.org",))
    for host in ("hub.example.org", "HUB.example.org:443", "localhost:4567", "127.0.0.1:4567"):
        assert access.refusal(request("/", host=host)) is None, host
    for host in ("example.org", "a.hub.example.org", "hub.example.org.evil.example", "[]", "["):
        assert status_of(access.refusal(request("/", host=host))) == "403", host
    for headers in FOREIGN:
        for host in ("hub.example.org", "localhost:4567"):
            refusal = access.refusal(request("/", host=host) | headers | {"HTTP_HOST": host})
            assert status_of(refusal) == "403", headers


def test_a_refusal_names_the_option_and_repeats_nothing_strange():
    _, reason = Access().refusal(request("/", host="hub.example.org:8000"))
    assert "--allow-host hub.example.org and --token" in reason
    _, reason = Access().refusal(request("/", host="<b>\x1b[31m"))
    assert "<b>" not in reason
    assert "--allow-host NAME" in reason


def test_a_refusal_is_logged_once_for_each_client_and_kind_with_its_remedy(caplog):
    def logged(access, *requests):
        caplog.clear()
        for each in requests:
            access.refusal(each)
        return [record.getMessage() for record in caplog.records]

    access = Access("0.0.0.0", TOKEN, allow_host=("hub.example.org",))
    # Udacity's simulator on this machine, which tries again and again
    (told,) = logged(access, *[request()] * 50)
    assert "127.0.0.1" in told
    assert "token" in told
    assert re.search(r"start this server with --allow-from 127.0.0.1$", told)
    (told,) = logged(access, *[request(address="192.168.1.20")] * 50)
    assert re.search(r"192.168.1.20 was refused: .*--allow-from 192.168.1.20$", told)
    # a car behind a proxy: the address is not its own
    (told,) = logged(Access("0.0.0.0", TOKEN, (), ("hub.org",)), request(host="hub.org"))
    assert "--allow-from" not in told
    # others do not hide it, and many do not fill the terminal
    many = [request(address=f"10.0.0.{number}") for number in range(200)]
    assert 1 <= len(logged(access, *many)) <= 5
    (told,) = logged(access, *[request(host="evil.example")] * 9)
    assert "--allow-host evil.example" in told
    strange = [request(host=f"evil {number}") for number in range(9)]
    assert len(logged(access, *strange)) == 1
    (told,) = logged(access, *[request("/state") | {"HTTP_SEC_FETCH_SITE": "cross-site"}] * 9)
    assert "other sites" in told
    # nothing is said of what is allowed
    assert not logged(access, request("/"), request("/", HTTP_ORIGIN="http://127.0.0.1:4567"))


def test_a_server_of_pages_alone_names_the_command_that_serves_a_simulator(caplog):
    access = Access(allow_from=None)
    for _ in range(9):
        status, reason = access.refusal(request(SERVER_PORT="4567"))
        assert status.startswith("404")
    (told,) = [record.getMessage() for record in caplog.records]
    for text in (reason, told):
        assert text.endswith("drive MODEL --port 4567")
    assert access.refusal(request("/")) is None


@pytest.mark.parametrize("host", ["127.0.0.1:4567", "localhost:4567"])
@pytest.mark.parametrize("allowed", ["hub.example.org", "localhost", "127.0.0.1"])
@pytest.mark.parametrize("address", ["127.0.0.1", "192.168.1.20", "fd00::20"])
def test_the_address_that_a_refusal_names_lets_the_simulator_in(address, allowed, host):
    allow_host = (allowed,)
    asked = request(address=address, host=host)
    _, reason = Access("0.0.0.0", TOKEN, (), allow_host).refusal(asked)
    named = re.search(r"--allow-from (\S+)", reason)[1]
    settings = DriveSettings(
        host="0.0.0.0", token=TOKEN, allow_from=(named,), allow_host=allow_host
    )
    access = Access(settings.host, settings.token, settings.allow_from, settings.allow_host)
    assert access.refusal(asked) is None


def test_wrong_tokens_are_counted_and_do_not_fill_the_terminal(caplog):
    clock = Clock()
    access = Access("0.0.0.0", TOKEN, clock=clock)
    for _ in range(100):
        assert not access.accepts("guess")
        clock.seconds += 2 * WRONG_TOKEN_SECONDS
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 7
    assert "64 times" in told[-1]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_loopback_host_needs_no_token(host):
    assert is_this_machine(host)
    assert DriveSettings(host=host).token == ""


@pytest.mark.parametrize("host", ["\udcff", "a..b", "x" * 64])
def test_what_is_no_name_of_a_machine_is_refused(host):
    with pytest.raises(UserError, match="choose another --host"):
        listen(host, 0)
