"""Record what a checkout's commands produce, and compare two checkouts: proof that a refactoring
changed nothing.

    python .ci/outcomes.py record CHECKOUT SHARED OUT.json [--only stores,weights]
    python .ci/outcomes.py compare BEFORE.json AFTER.json [OLD=NEW ...]

SHARED contains `recordings/`, `logs/` and `legacy_models/`. Recorded are digests of stores and
weights, evaluations, replays, what `--check` finds, the control messages of a drive, exit codes,
the messages of mistakes, and JSON keys; times and paths are left out. On one machine everything
recorded is deterministic. OLD=NEW names what was renamed on purpose, such as lag=frame_offset. Exit
code 1: there are differences.
"""

import base64
import hashlib
import json
import os
import re
import secrets
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np


class Checkout:
    """Runs the commands of a checkout in a folder."""

    def __init__(self, root, shared, folder):
        self.root, self.shared, self.folder = Path(root).resolve(), Path(shared).resolve(), folder
        self.environment = os.environ | {
            "PYTHONPATH": str(self.root),
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "CUDA_VISIBLE_DEVICES": "-1",
        }

    def start(self, *words, **options):
        name, *rest = map(str, words)
        script = self.root / name
        line = (
            [sys.executable, str(script)]
            if script.suffix == ".py"
            else [sys.executable, "-m", "bcclone", name]
        )
        if name == "benchmarks":
            line = [sys.executable, "-m", name]
        return subprocess.Popen(
            [*line, *rest],
            cwd=self.folder,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **options,
        )

    def run(self, *words):
        process = self.start(*words)
        out, err = process.communicate(timeout=900)
        return process.returncode, out, err

    def json(self, *words):
        code, out, err = self.run(*words, "--json")
        if not out:
            raise RuntimeError(f"{words}: {code}: {err[-2000:]}")
        return code, json.loads(out)


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def store_outcome(path):
    found = {}
    with h5py.File(path) as file:

        def visit(name, item):
            if isinstance(item, h5py.Dataset):
                found[name] = [
                    str(item.dtype),
                    list(item.shape),
                    digest(np.ascontiguousarray(item[()]).tobytes())
                    if item.dtype.kind not in "O"
                    else digest(repr(item[()]).encode()),
                ]
            for key, value in item.attrs.items():
                found[f"{name}@{key}"] = plain(value)

        file.visititems(visit)
        for key, value in file.attrs.items():
            found[f"@{key}"] = plain(value)
    return found


def plain(value):
    text = value.decode() if isinstance(value, bytes) else str(value)
    return text if len(text) < 300 else digest(text.encode())


def weights_outcome(path):
    found = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: found.update(
                {name: [list(item.shape), digest(np.ascontiguousarray(item[()]).tobytes())]}
                if isinstance(item, h5py.Dataset) and item.dtype.kind == "f"
                else {}
            )
        )
    return found


def keys_of(value, prefix=""):
    if isinstance(value, dict):
        return sorted(
            {
                key
                for name, inner in value.items()
                for key in [f"{prefix}{name}", *keys_of(inner, f"{prefix}{name}.")]
            }
        )
    if isinstance(value, list) and value:
        return keys_of(value[0], f"{prefix}[].")
    return []


_MEASURED = ("seconds", "latency", "_ms", "per_second", "wait_share", "path", "real_time", "folder")


def without_times(value):
    if isinstance(value, dict):
        return {
            key: without_times(inner)
            for key, inner in value.items()
            if not (isinstance(inner, str) and inner.startswith("/tmp"))
            and not any(word in key for word in _MEASURED)
        }
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


RECORDINGS = ("lake_linux", "mountain_windows")


def stores(checkout):
    """Return the digests of stores made of real recordings with four kinds of options."""
    found = {}
    _, usage, _ = checkout.run("preprocess.py", "--help")
    offsets = "--frame-offsets" if "--frame-offsets" in usage else "--previous"
    for name in RECORDINGS:
        source = checkout.shared / "recordings" / name
        for kind, options in {
            "default": [],
            "offsets": [offsets, "2", "--size", "64x48", "--no-flip"],
            "random": [
                "--split",
                "random",
                "--seed",
                "3",
                "--correction",
                "0.2",
                "--cameras",
                "center,left",
            ],
            "gray": ["--preprocess", "gray-80x120", "--seq-length", "3"],
        }.items():
            output = checkout.folder / f"{name}-{kind}.h5"
            code, result = checkout.json("preprocess.py", source, "-o", output, "--force", *options)
            found[f"{name} {kind}"] = {
                "code": code,
                "result": without_times(result),
                "content": store_outcome(output),
            }
            if kind != "default":
                output.unlink()
    return found


def need_store(checkout):
    store = checkout.folder / "lake_linux-default.h5"
    if not store.exists():
        checkout.json("preprocess.py", checkout.shared / "recordings" / "lake_linux", "-o", store)
    return store


def weights(checkout):
    """Return the digests of the weights after one epoch with a fixed seed."""
    store, found = need_store(checkout), {}
    for name, options in {
        "default": [],
        "plain": ["--no-augment"],
        "gru": ["--network", "gru", "--seq-length", "3", "--no-augment"],
        "stacked": ["--seq-length", "2"],
        "chunks": ["--feed", "hdf5-chunks", "--batch-size", "64"],
    }.items():
        model = checkout.folder / f"w-{name}.h5"
        code, result = checkout.json(
            "model.py",
            store,
            "-o",
            model,
            "--epochs",
            "1",
            "--seed",
            "5",
            "--deterministic",
            "--no-plots",
            "--name",
            f"w-{name}",
            *options,
        )
        found[name] = {
            "code": code,
            "result": without_times(result),
            "weights": weights_outcome(model),
        }
    return found


def evaluate(checkout):
    """Return three rows of the suite with models/lake.h5."""
    model, rows = checkout.root / "models" / "lake.h5", ["lake-30", "shadows", "latency-200"]
    older = ["evaluate", model, "--suite", "--rows", *rows]  # where the suite is no command
    suite = (
        ["suite", model, "--rows", ",".join(rows)]
        if "\n  suite " in checkout.run("--help")[1]
        else older
    )
    code, result = checkout.json(
        *suite,
        "--jobs",
        "2",
        "--output",
        checkout.folder / "suite",
    )
    return {"code": code, "result": without_times(result), "keys": keys_of(result)}


def replay(checkout):
    """Return the replays of models/lake.h5 on the recordings."""
    found = {}
    for name in RECORDINGS:
        code, result = checkout.json(
            "replay", checkout.root / "models" / "lake.h5", checkout.shared / "recordings" / name
        )
        found[name] = {"code": code, "result": without_times(result), "keys": keys_of(result)}
    return found


def check(checkout):
    """Return what --check finds in the recordings, figures to three digits."""
    found = {}
    for name in RECORDINGS:
        code, result = checkout.json(
            "preprocess.py", checkout.shared / "recordings" / name, "--check"
        )
        found[name] = {
            "code": code,
            "result": rounded(without_times(result)),
            "keys": keys_of(result),
        }
    return found


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [rounded(inner) for inner in value]
    return float(f"{value:.3g}") if isinstance(value, float) else value


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Wire:
    """A raw websocket, as the Unity program opens it."""

    def __init__(self, port):
        until = time.monotonic() + 60
        while True:
            try:
                self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
                break
            except OSError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self.socket.sendall(
            (
                f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
                "User-Agent: websocket-sharp/1.0\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )
        self.file = self.socket.makefile("rb")
        while self.file.readline().strip():
            pass

    def send(self, text):
        data = text.encode()
        mask = secrets.token_bytes(4)
        size = (
            bytes([0x80 | len(data)])
            if len(data) < 126
            else bytes([0x80 | 126]) + struct.pack(">H", len(data))
        )
        masked = bytes(
            np.bitwise_xor(
                np.frombuffer(data, np.uint8), np.resize(np.frombuffer(mask, np.uint8), len(data))
            )
        )
        self.socket.sendall(b"\x81" + size + mask + masked)

    def read(self):
        first, size = self.file.read(2)
        size &= 127
        if size == 126:
            (size,) = struct.unpack(">H", self.file.read(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self.file.read(8))
        return first & 15, self.file.read(size).decode(errors="replace")

    def close(self):
        self.file.close()
        self.socket.close()


def control(checkout):
    """Return the messages that answer the frames of a recording, sent one after the other."""
    found = {}
    for name, comma in (("lake_linux", False), ("mountain_windows", True)):
        port = free_port()
        server = checkout.start(
            "drive.py",
            checkout.root / "models" / "lake.h5",
            f"run-{name}",
            "--port",
            port,
            "--json",
            stdin=subprocess.PIPE,
        )
        wire = Wire(port)
        messages, images = (
            [],
            sorted((checkout.shared / "recordings" / name).rglob("center_*.jpg"))[:150],
        )
        opened = wire.read()[1]
        messages.append(sorted(json.loads(opened[1:])) if opened[:1] == "0" else opened)
        for number, image in enumerate(images):
            speed = f"{10 + number % 7:.4f}"
            values = {"steering_angle": "0.0000", "throttle": "0.3000", "speed": speed}
            if comma:
                values = {key: value.replace(".", ",") for key, value in values.items()}
            if number == 70:
                wire.send('42["telemetry",null]')
            elif number == 90:
                wire.send('42["telemetry",' + json.dumps({**values, "image": "broken"}) + "]")
            else:
                wire.send(
                    '42["telemetry",'
                    + json.dumps({**values, "image": base64.b64encode(image.read_bytes()).decode()})
                    + "]"
                )
            while True:
                kind, text = wire.read()
                if kind == 1 and text.startswith("42"):
                    messages.append(text)
                    break
        wire.close()
        time.sleep(1)
        server.send_signal(2)
        out, err = server.communicate(timeout=60)
        run = checkout.folder / f"run-{name}"
        found[name] = {
            "messages": messages,
            "code": server.returncode,
            "keys": keys_of(json.loads(out)) if out.strip() else out,
            "files": sorted(
                {path.name if path.suffix != ".jpg" else "*.jpg" for path in run.iterdir()}
            ),
            "log": [
                ",".join(line.split(",")[-4:-1])
                for line in (run / "driving_log.csv").read_text().splitlines()
            ][:5],
        }
    return found


def commands(checkout):
    """Return the exit codes and JSON keys of the commands."""
    store, model = need_store(checkout), checkout.root / "models" / "lake.h5"
    found = {}

    def keys(label, *words):
        code, result = checkout.json(*words)
        found[label] = {"code": code, "keys": keys_of(result)}

    keys("simulate record", "simulate", "record", "laps", "--laps", "0.1")
    keys("preprocess", "preprocess.py", "laps", "-o", "laps.h5")
    keys("preprocess --check", "preprocess.py", "laps", "--check")
    keys("model", "model.py", "laps.h5", "-o", "small.h5", "--epochs", "1", "--name", "small")
    keys("video", "video.py", "laps", "-o", "laps.mp4")
    keys("plots", "plots", model, store, "-o", "pictures", "--only", "steering,predictions")
    keys("evaluate", "evaluate", model, "--laps", "0.1", "--in-process")
    keys("evaluate served", "evaluate", model, "--laps", "0.1")
    keys("doctor", "doctor")
    for name in ("keras-1.2.1_66x200_yuv", "keras-2.11.0_66x200_yuv"):
        keys(
            f"import-model {name}",
            "import-model",
            checkout.shared / "legacy_models" / f"{name}.h5",
            "-o",
            f"{name}.h5",
            "--preprocess",
            "nvidia-66x200-yuv",
        )
    return found | _exit_codes(checkout, model)


def _exit_codes(checkout, model):
    """Return the exit codes of mistakes, and whether there was a traceback."""
    found = {}

    def code(label, *words):
        number, out, err = checkout.run(*words)
        said = re.sub(
            r"\S*/(?=[\w.-])",
            "",
            err.replace(str(checkout.folder), "").replace(str(checkout.root), ""),
        )
        found[label] = {
            "code": number,
            "traceback": "Traceback" in err,
            "out": bool(out),
            "err": said.splitlines()[-4:],
        }

    listed = re.findall(r"^  ([a-z-]+) ", checkout.run("--help")[1], re.MULTILINE)
    for name in (
        f"{name}.py" if (checkout.root / f"{name}.py").exists() else name for name in listed
    ):
        code(f"{name} --help", name, "--help")
        code(f"{name} --nonsense", name, "--nonsense")
    code("preprocess nowhere", "preprocess.py", "nowhere")
    code("preprocess exists", "preprocess.py", "laps", "-o", "laps.h5")
    code("model nowhere", "model.py", "nowhere.h5")
    code("model of a log", "model.py", "laps/driving_log.csv")
    code("drive nowhere", "drive.py", "nowhere.h5")
    code("drive of a store", "drive.py", "laps.h5")
    code("video of nothing", "video.py", "pictures")
    code("evaluate nowhere", "evaluate", "nowhere.h5")
    code(
        "evaluate of an older model",
        "evaluate",
        checkout.shared / "legacy_models" / "keras-1.2.1_66x200_yuv.h5",
    )
    code("replay nowhere", "replay", model, "nowhere")
    code("import-model of ours", "import-model", model, "-o", "x.h5")
    for log in sorted((checkout.shared / "logs").glob("*.csv")):
        code(f"log {log.name}", "preprocess.py", log, "--check")
    return found


def demo(checkout):
    code, result = checkout.json(
        "demo",
        "--folder",
        checkout.folder / "demo",
        "--record-laps",
        "0.2",
        "--epochs",
        "1",
        "--laps",
        "0.05",
    )
    return {"code": code, "keys": keys_of(result)}


def bench(checkout):
    found = {}
    for words in (
        [
            "feeds",
            "--only",
            "hdf5-shuffle,gather",
            "--frames",
            "2000",
            "--rounds",
            "1",
            "--seconds",
            "0.5",
        ],
        ["preprocess", "--frames", "300"],
        ["simulator"],
        ["drive"],
    ):
        try:
            code, result = checkout.json("benchmarks", *words)
            found[f"bench {words[0]}"] = {"code": code, "keys": keys_of(result)}
        except RuntimeError as error:
            found[f"bench {words[0]}"] = str(error)[-300:]
    return found


PARTS = {
    one.__name__: one
    for one in (stores, weights, check, evaluate, replay, control, commands, demo, bench)
}


def differences(before, after, place=""):
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            if key not in before or key not in after:
                yield f"{place}/{key}: only {'before' if key in before else 'after'}"
            else:
                yield from differences(before[key], after[key], f"{place}/{key}")
    elif before != after:
        if (
            isinstance(before, list)
            and isinstance(after, list)
            and all(isinstance(one, str) for one in before + after)
            and len(before) < 200
        ):
            yield f"{place}: gone {sorted(set(before) - set(after))[:20]}, new {sorted(set(after) - set(before))[:20]}"
        else:
            yield f"{place}: {str(before)[:200]} -> {str(after)[:200]}"


def record(root, shared, output, names):
    """Record the named parts, and write the file after each."""
    found = json.loads(output.read_text()) if output.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        checkout = Checkout(root, shared, Path(folder))
        for name in names:
            begun = time.monotonic()
            try:
                found[name] = PARTS[name](checkout)
            except Exception as error:  # the other parts are recorded all the same
                found[name] = {"FAILED": f"{type(error).__name__}: {error}"[:3000]}
            print(
                name, f"{time.monotonic() - begun:.0f} s", found[name].get("FAILED", ""), flush=True
            )
            output.write_text(json.dumps(found, indent=1, default=str))


def compare(before, after, renamed):
    """Return the differences, a line each. renamed: texts OLD=NEW."""
    text = before.read_text()
    for pair in renamed:
        old, new = pair.split("=")
        text = re.sub(rf"(?<![\w-]){re.escape(old)}(?![\w-])", new, text)
    before, after = json.loads(text), json.loads(after.read_text())
    return [
        line
        for part in before
        if part in after
        for line in differences(before[part], after[part], part)
    ]


if __name__ == "__main__":
    if sys.argv[1:2] == ["compare"] and len(sys.argv) >= 4:
        lines = compare(Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4:])
        print("\n".join(lines) or "no differences")
        sys.exit(bool(lines))
    if sys.argv[1:2] == ["record"] and len(sys.argv) in (5, 7):
        record(
            sys.argv[2],
            sys.argv[3],
            Path(sys.argv[4]),
            sys.argv[6].split(",") if len(sys.argv) == 7 else list(PARTS),
        )
    else:
        sys.exit(__doc__)
