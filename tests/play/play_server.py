"""bcclone play in a thread or as a process."""

import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from bcclone.play.play_server import play
from bcclone.play.play_settings import PlayResult, PlaySettings
from tests.conftest import command


@dataclass
class PlayServer:
    """play() in a thread. lines: what it printed; result: there at the end."""

    port: int
    lines: list[str] = field(default_factory=list)
    result: PlayResult | None = None


@contextmanager
def playing(port=0, **settings):
    """Serve within the block; yield the server."""
    lines, listening, stop = [], threading.Event(), threading.Event()

    def notify(line):
        lines.append(line)
        if line.startswith("listening"):
            listening.set()

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(play, PlaySettings(port=port, browser=False, **settings), notify, stop)
        try:
            while not listening.wait(0.05):
                assert not ended.done(), ended.result()
            server = PlayServer(port_in("\n".join(lines)), lines)
            yield server
        finally:
            stop.set()
        server.result = ended.result(20)


def port_in(text):
    """Return the port in the line of a server that listens, None without one."""
    listening = re.search(r"listening on \S+:(\d+);", text)
    return int(listening[1]) if listening else None


class PlayProcess:
    """bcclone play as a process; its standard output and error are in `output` when it has ended."""

    def __init__(self, *arguments, port=0, wrap=lambda line: line, **options):
        line = wrap(command("play", "--no-browser", "--port", port, *arguments))
        self.process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        self.output = ""
        for text in self.process.stdout:
            self.output += text
            if port := port_in(text):
                self.port = port
                return
        raise AssertionError(self.output)

    def end(self, how):
        """Send a signal, wait, and return the exit code."""
        self.process.send_signal(how)
        self.output += self.process.communicate(timeout=20)[0]
        return self.process.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()
