"""The whole main job on a drawn road: record, preprocess, train, drive a lap over the wire, make the clip.

Runs the same commands as a user would, each as a process of its own; what is there already is kept.
"""

import json
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bcclone.errors import UserError

_SERVER_END_SECONDS = 20


@dataclass(frozen=True)
class DemoSettings:
    """Where the demo writes, and how much it records, trains and drives."""

    folder: Path = Path("demo")
    rows: int = 700
    epochs: int = 8
    laps: float = 1.0
    speed_mph: float = 20.0


@dataclass(frozen=True)
class DemoResult:
    """What was driven, and where everything lies. steps: what each did and how many seconds it took."""

    steps: tuple[tuple[str, str, float], ...]
    drive: dict[str, Any]


def run_demo(settings: DemoSettings) -> DemoResult:
    """Run every step that has not been run; raises UserError when one fails."""
    place = settings.folder
    place.mkdir(parents=True, exist_ok=True)
    recording, store, model = place / "recording", place / "data.h5", place / "model.h5"
    run = place / "run1"
    steps = [
        ("record", recording / "driving_log.csv", ["simulate", "record", recording, "--rows", settings.rows]),
        ("preprocess", store, ["preprocess", recording, "-o", store, "--previous", 0, "--correction", 0.2]),
        ("train", model, ["model", store, "-o", model, "--runs", place / "runs", "--epochs", settings.epochs]),
    ]
    done = [_step(name, made, command) for name, made, command in steps]
    begun = time.monotonic()
    if run.exists():  # a run folder is never written over
        run = next(place / f"run{n}" for n in range(2, 10_000) if not (place / f"run{n}").exists())
    drive = _drive(model, run, settings)
    done.append(("drive", str(run), time.monotonic() - begun))
    clip = run.with_suffix(".mp4")
    done.append(_step("clip", clip, ["video", run]))
    return DemoResult(tuple(done), drive)


def _step(name: str, made: Path, command: Sequence[object]) -> tuple[str, str, float]:
    begun = time.monotonic()
    if made.exists():
        _say(f"{name}: {made} is there already")
    else:
        _run(command)
    return name, str(made), time.monotonic() - begun


def _drive(model: Path, run: Path, settings: DemoSettings) -> dict[str, Any]:
    """Let the model drive the drawn car, both as processes that know each other only by the wire."""
    port = _free_port()
    with _server(["drive", model, run, "--port", port, "--speed", settings.speed_mph]):
        client = ["simulate", "drive", "--port", port, "--laps", settings.laps, "--wait", 60, "--json"]
        figures: dict[str, Any] = json.loads(_run(client, keep_output=True))
        return figures


@contextmanager
def _server(command: Sequence[object]) -> Iterator[None]:
    _say(f"$ bcclone {_shown(command)} &")
    server = subprocess.Popen(_command_line(command), stdout=sys.stderr)
    try:
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(_SERVER_END_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _run(command: Sequence[object], keep_output: bool = False) -> str:
    _say(f"$ bcclone {_shown(command)}")
    done = subprocess.run(
        _command_line(command), stdout=subprocess.PIPE if keep_output else sys.stderr, text=True, check=False
    )
    if done.returncode:
        raise UserError(f"the demo ends here: `bcclone {_shown(command)}` failed (exit code {done.returncode})")
    return done.stdout or ""


def _say(text: str) -> None:
    """Print what is done beside the result, which alone goes to standard output."""
    print(f"\n{text}", file=sys.stderr, flush=True)


def _command_line(command: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "bcclone", *map(str, command)]


def _shown(command: Sequence[object]) -> str:
    return shlex.join(map(str, command))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
