"""drive, simulate, evaluate, replay, --suite: addresses, folders, recordings and models that cannot be driven with."""

from pathlib import Path

from tests.messages.refusals import checked, refusal
from tests.messages.small_recording import without_privileges


def listen(host, port):
    from bcclone.drive.wire.web_server import listen

    return listen(host, port)


def listen_twice():
    with listen("127.0.0.1", 0) as first:
        return listen("127.0.0.1", first.getsockname()[1])


def asked_to_record_where_nobody_may():
    from bcclone.drive.page.page_state import ControlChanges
    from tests.drive.test_page_addresses import make_page

    page, changes = make_page(), ControlChanges(recording=True)  # imports need privileges here
    Path().chmod(0o555)
    try:
        with without_privileges():
            page.set(changes)
    finally:
        Path().chmod(0o755)


REFUSALS = [
    refusal(listen_twice, "127.0.0.1", "in use", "--port", "4567"),
    refusal(asked_to_record_where_nobody_may, "run-2", "Permission denied", "another folder"),
]


test_a_mistake_is_refused_with_what_the_user_needs = checked(REFUSALS)
