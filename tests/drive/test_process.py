"""A drive server as a child process: what of its output the caller's user sees."""

from bcclone.drive.server import server_process

SERVER = """
import sys
print("listening on 127.0.0.1:4567;\\na car is connected\\nrun1: 3 frames recorded")
print("interrupted: run1 keeps what was recorded", flush=True)
sys.stdin.read()
"""


def test_what_the_server_prints_after_a_car_has_come_is_shown_but_not_that_it_was_interrupted(capfd):
    with server_process([], ("-c", SERVER)) as server:
        assert server.port == 4567
    assert capfd.readouterr().err == "run1: 3 frames recorded\n"
