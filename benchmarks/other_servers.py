"""Serve a model in two other ways, for comparison with `drive.py`.

python -m benchmarks.other_servers predict|least MODEL --port 0 --end-with-stdin

predict: calls `model.predict` for each frame, as most drive servers do.

least: counts bytes, decides, answers; the limit of any server. It understands nothing: all
telemetries must have as many bytes as that of one frame, on which it decides each time.
"""

import argparse
import socket
import threading
from pathlib import Path

import numpy as np

from bcclone import Answer, DriveSettings, SteeringPolicy, load_policy
from bcclone.camera.images import Image, decode_jpeg
from bcclone.drive.protocol import Control, event_text, format_steer
from bcclone.drive.server import exit_when_stdin_closes, serve_policy
from bcclone.model.policy import Policy, window_after
from bcclone.simulator.unity_websocket import text_frames
from bcclone.system.numbers import Memory
from bcclone.system.parent_process import LISTENING, tell_parent
from bcclone.system.process import claim_process
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.web.web_server import listen
from bcclone.web.websocket import Websocket
from benchmarks.driving import rendered_frames, telemetry_texts

_READ_BYTES = 65_536  # that are read from a connection at a time


class PredictingPolicy(Policy):
    """A policy that calls Keras's predict for each frame."""

    def next_answer(self, image: Image, memory: Memory) -> tuple[Answer, Memory]:
        """Return the answer for the next prepared image of a drive, and the drive's new memory.

        A recurrent network gets its whole window each time.
        """
        window = window_after(memory, image, self.seq_length)
        inputs = np.stack(window).reshape(1, *self.model.input_shape[1:])
        outputs = self.model.predict(inputs, verbose=0)[0]
        return Answer.of(outputs), window


def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("predict", "least"))
    parser.add_argument("model", type=Path)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--end-with-stdin", action="store_true")
    arguments = parser.parse_args()
    claim_process()  # without it, TensorFlow would not compute on one thread
    load_tensorflow(threads=1)  # as drive.py does
    if arguments.end_with_stdin:
        exit_when_stdin_closes()
    if arguments.kind == "predict":
        serve_predictions(arguments.model, arguments.port)
    else:
        serve_with_least_work(arguments.model, arguments.port)


def serve_predictions(model: Path, port: int) -> None:
    """Serve as drive.py does, with a policy that calls Keras's predict."""
    from bcclone.model.model_file import load_model  # after load_tensorflow(), as drive.py does

    def show(text: str) -> None:
        print(text, flush=True)

    policy = PredictingPolicy(load_model(model, None))
    serve_policy(policy, DriveSettings(port=port), show)


def serve_with_least_work(model: Path, port: int) -> None:
    """Answer the telemetry of one connection after the other, for ever."""
    policy = load_policy(model)
    jpeg = rendered_frames()[0]
    policy.answer(decode_jpeg(jpeg))
    with listen("127.0.0.1", port) as listener:
        tell_parent(LISTENING, listener.getsockname()[1])
        while True:
            connection, _ = listener.accept()
            with connection:
                answer_all(policy, jpeg, connection)


def answer_all(policy: SteeringPolicy, jpeg: bytes, connection: socket.socket) -> None:
    """Answer each telemetry of a connection until it ends."""
    # it answers the handshake, and sets the socket up
    Websocket(connection, _read_headers(connection), threading.Lock())

    # the answer is the same each time, so it is made before: a text frame of less than 126 bytes
    answer = event_text("steer", format_steer(Control(0.0, 0.1), False)).encode()
    final_text = 0x81
    frame = bytes([final_text, len(answer)]) + answer

    (telemetry,) = telemetry_texts([jpeg])
    telemetry_bytes = sum(map(len, text_frames(telemetry)))
    received_bytes = 0  # of a telemetry that is not complete
    while data := connection.recv(_READ_BYTES):
        received_bytes += len(data)
        if received_bytes >= telemetry_bytes:
            received_bytes -= telemetry_bytes
            policy.answer(decode_jpeg(jpeg))
            connection.sendall(frame)
        if hasattr(socket, "TCP_QUICKACK"):  # Linux
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)


def _read_headers(connection: socket.socket) -> list[tuple[str, str]]:
    """Return the names and values of the headers of the request that opens a connection."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(_READ_BYTES)
    headers = []
    for line in head.decode().split("\r\n"):
        name, mark, value = line.partition(": ")
        if mark:
            headers.append((name, value))
    return headers


if __name__ == "__main__":
    main()
