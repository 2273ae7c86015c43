"""Serve one car with the least that a drive server can do: count bytes, decide, answer; the limit of any such server.

python -m benchmarks.least_server MODEL --port 0 --end-with-stdin

It understands nothing: all telemetries must have the same number of bytes, as those of one frame. It decides on the
frame that it was started with.
"""

import socket
import sys
import threading

from bcclone.dataset.images import decode_jpeg
from bcclone.drive.driver import SteeringPolicy
from bcclone.drive.process import end_with_stdin
from bcclone.drive.protocol import Control, event_text, format_steer
from bcclone.drive.wire.web_server import listen
from bcclone.drive.wire.websocket import Websocket
from bcclone.simulator.unity_websocket import text_frames
from bcclone.system.tensorflow_quietly import load_tensorflow
from benchmarks.driving import frames_to_send, server_arguments, telemetry_texts

_READ_BYTES = 65_536


def serve(policy: SteeringPolicy, jpeg: bytes, connection: socket.socket) -> None:
    """Answer each telemetry of a connection until it ends."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(_READ_BYTES)
    headers = [
        (name, value) for name, mark, value in (line.partition(": ") for line in head.decode().split("\r\n")) if mark
    ]
    Websocket(connection, headers, threading.Lock())  # answers the handshake, and sets the socket up
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
    arguments = server_arguments(__doc__)
    load_tensorflow(threads=1)
    from bcclone.model.policy import load_policy

    policy, (jpeg, *_) = load_policy(arguments.model), frames_to_send(None)
    policy.answer(decode_jpeg(jpeg))
    if arguments.end_with_stdin:
        end_with_stdin()
    with listen("127.0.0.1", arguments.port) as listener:
        print(f"listening on 127.0.0.1:{listener.getsockname()[1]};", flush=True)
        while True:
            with listener.accept()[0] as connection:
                serve(policy, jpeg, connection)


if __name__ == "__main__":
    sys.exit(main())
