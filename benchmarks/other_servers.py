"""Serve a model in two other ways, for comparison with `drive.py`: as most drive servers do, and
with the least work.

python -m benchmarks.other_servers predict|least MODEL --port 0 --end-with-stdin

predict: calls `model.predict` for each frame. least: counts bytes, decides, answers; the limit of
any server. It understands nothing: all telemetries must have the same number of bytes, as those of
one frame, on which it decides.
"""

import argparse
import socket
import sys
import threading
from pathlib import Path

import numpy as np

from bcclone import Answer, DriveSettings, SteeringPolicy, load_policy
from bcclone.camera.images import Image, decode_jpeg
from bcclone.drive.protocol import Control, event_text, format_steer
from bcclone.drive.server import exit_when_stdin_closes, serve_policy
from bcclone.model.policy import Policy, window_after
from bcclone.simulator.unity_websocket import text_frames
from bcclone.system.parent_process import LISTENING, tell_parent
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.web.web_server import listen
from bcclone.web.websocket import Websocket
from benchmarks.driving import rendered_frames, telemetry_texts

_READ_BYTES = 65_536


class PredictingPolicy(Policy):
    """A policy that calls Keras's predict for each frame."""

    def answer(self, frame: Image) -> Answer:
        """Return the answer for an RGB frame, uint8 (160, 320, 3); a recurrent network gets its
        window each time.
        """
        self._memory = window_after(self._memory, self.preprocessing.apply(frame), self.seq_length)
        window = np.stack(self._memory).reshape(1, *self.model.input_shape[1:])
        return Answer.of(self.model.predict(window, verbose=0)[0])


def answer_all(policy: SteeringPolicy, jpeg: bytes, connection: socket.socket) -> None:
    """Answer each telemetry of a connection until it ends."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(_READ_BYTES)
    headers = [
        (name, value)
        for name, mark, value in (line.partition(": ") for line in head.decode().split("\r\n"))
        if mark
    ]
    Websocket(
        connection, headers, threading.Lock()
    )  # answers the handshake, and sets the socket up
    answer = event_text("steer", format_steer(Control(0.0, 0.1), False)).encode()
    frame = bytes([0x81, len(answer)]) + answer
    size, received = sum(map(len, text_frames(telemetry_texts([jpeg])[0]))), 0
    while data := connection.recv(_READ_BYTES):
        received += len(data)
        if received >= size:
            received -= size
            policy.answer(decode_jpeg(jpeg))
            connection.sendall(frame)
        if hasattr(socket, "TCP_QUICKACK"):  # Linux
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def main() -> int:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("predict", "least"))
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--end-with-stdin", action="store_true")
    arguments = parser.parse_args()
    load_tensorflow(threads=1)
    if arguments.end_with_stdin:
        exit_when_stdin_closes()
    if arguments.kind == "predict":
        from bcclone.model.model_file import load_model  # after load_tensorflow(), as drive.py does

        policy = PredictingPolicy(load_model(arguments.model, None))
        serve_policy(
            policy, DriveSettings(port=arguments.port), lambda text: print(text, flush=True)
        )
        return 0
    fast, (jpeg, *_) = load_policy(arguments.model), rendered_frames()
    fast.answer(decode_jpeg(jpeg))
    with listen("127.0.0.1", arguments.port) as listener:
        tell_parent(LISTENING, listener.getsockname()[1])
        while True:
            with listener.accept()[0] as connection:
                answer_all(fast, jpeg, connection)


if __name__ == "__main__":
    sys.exit(main())
