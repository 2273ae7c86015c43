"""The page of a recording without a browser, and the rows that its edits leave."""

import json
import threading
from contextlib import contextmanager
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np

from bcclone.commands.next_steps import after_editing
from bcclone.editor.editor_page import serve_page
from bcclone.recording.log import read_log
from tests.processes import wait_for
from tests.running import run_script


class RecordingPage:
    """A page without a browser."""

    def __init__(self, url):
        self.url = url

    def get(self, path):
        with urlopen(f"{self.url}{path}") as answer:
            return answer.read()

    def json(self, path):
        return json.loads(self.get(path))

    def state(self, panel=0):
        return self.json(f"state/{panel}")

    def edit(self, version=None, panel=0, **wish):
        """Ask for an edit; return the answer and its status.

        version: of the edits that the page shows; None for those that there are
        """
        if version is None:
            version = self.state(panel)["version"]
        body = json.dumps({"version": version, **wish}).encode()
        request = Request(f"{self.url}edit/{panel}", body, {"Content-Type": "application/json"})
        try:
            with urlopen(request) as answer:
                return json.loads(answer.read()), answer.status
        except HTTPError as error:
            return json.loads(error.read()), error.code

    def checked(self):
        """Return what the check finds, when it has ended."""

        def ended():
            check = self.state()["check"]
            if check["verdict"] and not check["stale"]:
                return check
            return None

        return wait_for(ended)

    def curves(self, panel=0):
        """Return the curves by their names."""
        data = self.get(f"curves/{panel}")
        begin = 4 + int.from_bytes(data[:4], "big")
        curves = {}
        for name, kind, count in json.loads(data[4:begin])["columns"]:
            curves[name] = np.frombuffer(data, f"<{kind}", count, begin)
            begin += curves[name].nbytes
        return curves


@contextmanager
def looking_at(*recordings, model=None):
    """Serve the page of recordings within the block; yield the page."""
    notices = []
    stop = threading.Event()
    work = ([*map(str, recordings)], model, 0, False, notices.append, stop)
    next_step = {"next_step": after_editing}
    server = threading.Thread(target=serve_page, args=work, kwargs=next_step)

    def url():
        for notice in notices:
            if "look at" in notice:
                return notice.split()[5].rstrip(";")
        return None

    server.start()
    try:
        yield RecordingPage(wait_for(url))
    finally:
        stop.set()
        server.join(30)
        assert not server.is_alive()


def rows_left(recording):
    """Return the rows that every command takes of a recording."""
    return read_log(recording / "driving_log.csv").rows


def edited_by_commands(recording, *edits):
    """Return the rows that are left after other edits.

    edits: the options of a command each, which take the place of the edits that there are
    """
    (recording / "driving_log.edits.json").unlink()
    for options in edits:
        run_script("edit", recording, *options)
    return rows_left(recording)
