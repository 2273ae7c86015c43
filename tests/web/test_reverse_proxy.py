"""The pages behind a proxy: below a prefix, by a name of --allow-host, over https, with a token."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
import requests
import websocket

from bcclone.editor.editor_page import serve_page
from bcclone.web.access import Access
from tests.drive.drive_server import (
    Constant,
    next_event,
    playing,
    raw,
    serving_in_a_thread,
    telemetry_text,
)
from tests.pages import chromium, errors_of, needs_browser
from tests.processes import wait_for
from tests.web.reverse_proxy import ReverseProxy, make_certificate

NAME = "hub.example.org"
PREFIX = "/user/ada/proxy/4567"
TOKEN = "let me in, please"
ALLOWED = {"token": TOKEN, "allow_host": (NAME,)}
LOCAL = {"host": "localhost:4567"}


def request_by_name(proxy, path="/", scheme="http", **options):
    """Request a path below the proxy's prefix as a browser does that knows it by its name."""
    headers = {"Host": f"{NAME}:{proxy.port}"} | options.pop("headers", {})
    method = options.pop("method", "GET")
    url = f"{scheme}://127.0.0.1:{proxy.port}{PREFIX}{path}"
    return requests.request(method, url, headers=headers, timeout=60, **options)


def test_without_allow_host_the_403_names_it():
    with serving_in_a_thread(Constant()) as server, ReverseProxy(server.port, PREFIX) as proxy:
        refused = request_by_name(proxy)
        assert refused.status_code == 403
        assert f"--allow-host {NAME}" in refused.text
        assert "--token" in refused.text
    # a proxy that writes Host anew is known by the Origin of what changes something
    with (
        serving_in_a_thread(Constant()) as server,
        ReverseProxy(server.port, PREFIX, LOCAL) as proxy,
    ):
        origin = {"Origin": f"https://{NAME}"}
        refused = request_by_name(proxy, "/control", method="POST", json={}, headers=origin)
        assert (refused.status_code, f"--allow-host {NAME}" in refused.text) == (403, True)


@pytest.mark.parametrize("rewritten", [{}, LOCAL, {"origin": "http://localhost:{port}"}])
def test_a_login_leads_to_the_page_below_the_prefix_and_to_no_other_path(rewritten):
    with serving_in_a_thread(Constant(), **ALLOWED) as server:
        rewritten = {name: text.format(port=server.port) for name, text in rewritten.items()}
        with ReverseProxy(server.port, PREFIX, rewritten) as proxy:
            origin = {"Origin": f"https://{NAME}"}
            asked = request_by_name(proxy)
            assert (asked.status_code, 'name="token"' in asked.text) == (401, True)
            assert request_by_name(proxy, "/state").status_code == 401
            form = {"data": {"token": TOKEN}, "method": "POST", "allow_redirects": False}
            opened = request_by_name(proxy, "/login", headers=origin, **form)
            assert (opened.status_code, opened.headers["Location"]) == (302, "./")
            # other servers have the same name: without a path, the cookie is for this folder
            assert "Path" not in opened.headers["Set-Cookie"]
            cookie = opened.headers["Set-Cookie"].partition(";")[0]
            state = request_by_name(proxy, "/state", headers={"Cookie": cookie})
            assert state.json()["connection"] == "none"

            def page_of(origin, cookie=cookie):
                url = f"ws://127.0.0.1:{proxy.port}{PREFIX}/socket"
                by_name = {"host": f"{NAME}:{proxy.port}", "origin": origin, "cookie": cookie}
                return websocket.create_connection(url, 60, **by_name)

            page_of(f"https://{NAME}").close()
            with pytest.raises(websocket.WebSocketBadStatusException, match="401"):
                page_of(f"https://{NAME}", cookie="")
            if "origin" not in rewritten:
                with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
                    page_of("https://evil.example.org")


def status_of_car(port, more="", **options):
    """Return the status of a handshake. more: of the query"""
    url = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket{more}"
    try:
        websocket.create_connection(url, 60, suppress_origin=True, **options).close()
    except websocket.WebSocketBadStatusException as error:
        return error.status_code
    return 101


def test_a_car_through_the_proxy_needs_the_token_though_it_seems_to_come_from_this_machine():
    with_token = "&token=let%20me%20in,%20please"
    for allow_from, own in (((), 401), (("127.0.0.1",), 101)):
        with serving_in_a_thread(Constant(), **ALLOWED, allow_from=allow_from) as server:
            assert status_of_car(server.port) == own
            with ReverseProxy(server.port) as proxy:
                assert status_of_car(proxy.port, host=NAME) == 401
                assert status_of_car(proxy.port, with_token, host=NAME) == 101


@pytest.fixture(scope="module")
def browser():
    pytest.importorskip("selenium", reason="needs selenium, of the dev extras")
    rules = f"--host-resolver-rules=MAP {NAME} 127.0.0.1"
    with chromium(rules, "--ignore-certificate-errors") as driver:
        yield driver


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("needs openssl, which makes a certificate")
    return make_certificate(tmp_path_factory.mktemp("tls"), NAME)


def log_in(browser, proxy):
    browser.get("about:blank")
    errors_of(browser)  # those of an earlier page, whose server has ended
    browser.get(f"https://{NAME}:{proxy.port}{PREFIX}/")
    browser.find_element("id", "token").send_keys(TOKEN)
    browser.find_element("css selector", "button").click()


def until(browser, name, condition, server):
    """Wait until the page has a variable, and a condition on it is true.

    A failure says what the page and the server then said.
    """
    value = f"(typeof {name} === 'undefined' ? null : {name})"
    try:
        wait_for(lambda: browser.execute_script(f"return {value} && ({condition})"))
    except AssertionError:
        about = f"return [document.hidden, document.readyState, location.href, {value}]"
        said = (browser.execute_script(about), complaints(browser), server)
        raise AssertionError(f"not true: {condition}; {said}") from None


@contextmanager
def answering_pings(car):
    """Within the block, a car answers the server's pings, as a page may take long to open."""
    ended = threading.Event()

    def answer():
        while not ended.is_set():
            if car.receive(0.2) == "2":  # a ping of Engine.IO
                car.send_text("3")

    with ThreadPoolExecutor(1) as pool:
        answered = pool.submit(answer)
        try:
            yield
        finally:
            ended.set()
        answered.result()  # raises ServerGone if the server has closed the connection


def complaints(browser):
    """Return what the browser's console says, without the 401 of the page before the token."""
    return [error for error in errors_of(browser) if "401" not in error["message"]]


@pytest.mark.slow
@needs_browser
@pytest.mark.parametrize("rewritten", [{}, LOCAL])
def test_a_browser_drives_and_watches_over_https_below_a_prefix(browser, certificate, rewritten):
    with (
        playing(**ALLOWED) as server,
        ReverseProxy(server.port, PREFIX, rewritten, certificate) as proxy,
    ):
        log_in(browser, proxy)
        until(browser, "state", "state.seconds > 0.2", server.lines)
        assert browser.execute_script("return location.pathname") == f"{PREFIX}/"
        # the style has come, too
        assert browser.execute_script("return document.styleSheets[0].cssRules.length") > 5
        assert not complaints(browser)
    with (
        serving_in_a_thread(Constant(), **ALLOWED, allow_from=("127.0.0.1",)) as server,
        ReverseProxy(server.port, PREFIX, rewritten, certificate) as proxy,
        raw(server.port) as car,
    ):
        car.send_text(telemetry_text())
        assert next_event(car)[0] == "steer"
        with answering_pings(car):
            log_in(browser, proxy)
            until(browser, "state", "state.connection !== 'none'", server.lines)


@pytest.mark.slow
@needs_browser
def test_a_browser_edits_a_recording_over_https_below_a_prefix(browser, certificate, recording):
    lines = []
    stop = threading.Event()
    access = Access(token=TOKEN, allow_host=(NAME,))
    work = ([str(recording)], None, 0, False, lines.append, stop, access)
    thread = threading.Thread(target=serve_page, args=work)
    thread.start()
    try:
        said = wait_for(lambda: [line for line in lines if "look at" in line])
        port = int(said[0].partition("127.0.0.1:")[2].partition("/")[0])
        with ReverseProxy(port, PREFIX, certificate=certificate) as proxy:
            log_in(browser, proxy)
            until(browser, "active", "active.columns && true", lines)
            assert not complaints(browser)
    finally:
        stop.set()
        thread.join(60)
