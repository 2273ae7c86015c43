"""bcclone play in a thread or as a process, and a page for it without a browser."""

import json
import re
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import websocket

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
    found = re.search(r"listening on \S+:(\d+);", text)
    return int(found[1]) if found else None


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


class FakePage:
    """A page without a browser: reads frames, acknowledges them, and sends what a test wants."""

    def __init__(self, port, acknowledges=True, **options):
        self.socket = websocket.create_connection(f"ws://127.0.0.1:{port}/socket", timeout=10, **options)
        self.acknowledges = acknowledges
        self.inputs = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, **message):
        self.socket.send(json.dumps(message))

    def hands(self, **hands):
        self.inputs += 1
        self.send(input=self.inputs, hands=hands)
        return self.inputs

    def receive(self):
        """Return the next message and its pictures."""
        data = self.socket.recv()
        assert isinstance(data, bytes), data
        length = int.from_bytes(data[:4], "big")
        message, at, pictures = json.loads(data[4 : 4 + length]), 4 + length, []
        for size in message["pictures"]:
            pictures.append(data[at : at + size])
            at += size
        if self.acknowledges and message["kind"] == "frame":
            self.send(drawn=message["number"])
        return message, pictures

    def until(self, condition, frames=300, **hands):
        """Send these hands with every frame until a state meets the condition; return that state."""
        for _ in range(frames):
            state, _ = self.receive()
            if state["kind"] == "frame" and condition(state):
                return state
            if hands:
                self.hands(**hands)
        raise AssertionError(state)

    def until_refused(self, frames=100):
        """Return the reason of the next refusal."""
        for _ in range(frames):
            message, _ = self.receive()
            if message["kind"] == "refusal":
                return message["error"]
        raise AssertionError(message)
