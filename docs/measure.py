"""Make the results in docs/results/ anew, and list those whose code has changed since.

    python docs/measure.py                # list them, and the pages that quote them
    python docs/measure.py FOLDER         # make all of these anew
    python docs/measure.py FOLDER NAME... # make the named ones anew
    python docs/measure.py --confirm FOLDER NAME... # make a part of them anew

FOLDER keeps stores, models and recordings that were needed. Results that are the same on each run
take hours; of these it is enough that a part of their figures is the same to the last digit with
the code of today, which --confirm makes in an empty FOLDER.

A result keeps, as `made_by`, the commands that gave it, as `confirmed_by` those that gave the part,
and, as `code`, the folders and files of what it measures and measures by, with their digest.
Docstrings, comments, texts of several words, how the lines are set, and in which of the files a
function stands do not count. A page quotes a result if it links to its file, or has a table or a
picture of it. gpu.json is made by measure_gpu.py.
"""

import argparse
import ast
import hashlib
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import any_camera
from result_tables import TABLES

from bcclone.system.files import write_text

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results"
REAL = ROOT.parent / "shared"  # recordings and models of others, which are not in a clone


def main() -> None:
    """Make results, or list those that are to be made."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--confirm", action="store_true")
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RESULT_OF))
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(RESULT_OF):
        parser.error(f"no result {', '.join(unknown)}; the results are {', '.join(RESULT_OF)}")
    if arguments.folder is None:
        for name in changed():
            print(f"{name}.json; quoted by: {', '.join(quoting(name)) or 'no page'}")
        return
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.confirm and any(folder.iterdir()):
        parser.error(f"{folder} is not empty, and --confirm takes nothing that was made before")
    names = arguments.names or [name for name in changed() if name in RESULT_OF]
    if arguments.confirm:
        can_be = [name for name in names if RESULT_OF[name].part]
        if whole := set(arguments.names) - set(can_be):
            parser.error(f"made as a whole, without --confirm: {', '.join(sorted(whole))}")
        names = can_be
    for name in names:
        print(name, flush=True)
        if arguments.confirm:
            confirm(name, folder)
        else:
            make(name, folder)


# ---- the results and the commands that make them


class Commands:
    """Runs commands of this clone within a folder, and keeps their lines.

    The lines have the words of a person: `bcclone` and `python -m`, and paths in the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []

    def bcclone(self, *words: object) -> None:
        """Run a command of bcclone."""
        self._run(["bcclone"], ["-m", "bcclone"], words)

    def printed(self, *words: object) -> Any:
        """Run a command of bcclone with --json, and return what it printed."""
        return json.loads(self._run(["bcclone"], ["-m", "bcclone"], [*words, "--json"]))

    def benchmark(self, name: str, *options: object) -> Any:
        """Run a benchmark, and return its JSON."""
        start = ["-m", "benchmarks", name]
        return json.loads(self._run(["python", *start], start, [*options, "--json"]))

    def module(self, *words: object) -> None:
        """Run another module of this clone."""
        self._run(["python", "-m"], ["-m"], words)

    def made(self, name: str, *words: object) -> Path:
        """Return the path of a file or folder, made by a command of bcclone if it is missing.

        words: of the command; None stands for the path
        """
        path = self.folder / name
        command = [path if word is None else word for word in words]
        if path.exists():
            self._keep(["bcclone"], command)
        else:
            self.bcclone(*command)
        return path

    def _run(self, shown: Sequence[str], start: Sequence[str], words: Sequence[object]) -> str:
        self._keep(shown, words)
        done = subprocess.run(
            [sys.executable, *start, *map(str, words)],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return self._without_places(done.stdout)

    def _keep(self, shown: Sequence[str], words: Sequence[object]) -> None:
        self.lines.append(self._without_places(shlex.join([*shown, *map(str, words)])))

    def _without_places(self, text: str) -> str:
        """Return a text without the places of folders on this machine."""
        for path, relative in ((self.folder, ""), (REAL, "../shared/"), (ROOT, "")):
            text = text.replace(f"{path}/", relative)
        return text


def _trained_on_a_recording(run: Commands, trainings: int = 3) -> list[Path]:
    """Return trainings on a recording of the Unity program, with seeds 0, 1 and so on."""
    recording = REAL / "recordings" / "lake_linux"
    store = run.made("lake_linux.h5", "preprocess", recording, "-o", None)
    trained = []
    for seed in range(trainings):
        words = ("model", store, "-o", None, "--seed", seed, "--name", f"suite{seed}")
        trained.append(run.made(f"s{seed}.h5", *words))
    return trained


# models that other people trained on recordings of the Unity program -> file and preset
_OF_OTHERS = {
    "k121": ("keras-1.2.1_66x200_yuv", "nvidia-66x200-yuv-bgr"),
    "k211": ("keras-2.11.0_66x200_yuv", "nvidia-66x200-yuv"),
}


def part_of_suite(run: Commands) -> Any:
    """Train as for measure_suite() once, and drive two rows."""
    trained = _trained_on_a_recording(run, trainings=1)
    return rows_of(run.printed("suite", *trained, "--rows", "lake-30,shadows"))


def rows_of(suite: Mapping[str, Any]) -> Any:
    """Return the drives of a suite without what compares them with others."""
    return {"rows": [{name: row[name] for name in ("row", "models")} for row in suite["rows"]]}


def measure_suite(run: Commands) -> Any:
    """Score three trainings on a recording of the Unity program, and a shipped model."""
    return run.printed("suite", *_trained_on_a_recording(run), ROOT / "models" / "lake.h5")


def measure_replays_of_recordings(run: Commands) -> Any:
    """Replay two recordings of the Unity program with trainings, a shipped model and others'."""
    ours = [*_trained_on_a_recording(run), ROOT / "models" / "lake.h5"]
    found: dict[str, dict[str, Any]] = {}
    for name in ("lake_linux", "mountain_windows"):
        recording = REAL / "recordings" / name
        found[name] = run.printed("replay", *ours, recording)["models"]
        for other, (file, preset) in _OF_OTHERS.items():
            model = REAL / "legacy_models" / f"{file}.h5"
            found[name][other] = run.printed("replay", model, recording, "--preprocess", preset)
    return {"recordings": found}


def part_of_replays_of_recordings(run: Commands) -> Any:
    """Train one of the networks of measure_replays_of_recordings(), and replay a recording."""
    recording = REAL / "recordings" / "lake_linux"
    models = [*_trained_on_a_recording(run, trainings=1), ROOT / "models" / "lake.h5"]
    replayed = run.printed("replay", *models, recording)
    return {"recordings": {recording.name: replayed["models"]}}


def measure_suite_of_others(run: Commands, *options: object) -> Any:
    """Score two models that other people trained on recordings of the Unity program."""
    models_scored = {}
    rows: list[dict[str, Any]] = []
    for name, (file, preset) in _OF_OTHERS.items():
        model = REAL / "legacy_models" / f"{file}.h5"
        suite = run.printed("suite", model, "--preprocess", preset, *options)
        (models_scored[name],) = suite["models"].values()
        rows = rows or [{**row, "models": {}} for row in suite["rows"]]
        for row, driven in zip(rows, suite["rows"], strict=True):
            (row["models"][name],) = driven["models"].values()
    return {"models": models_scored, "rows": rows}


def measure_real_cameras(run: Commands) -> Any:
    """Compare two shipped models on recordings of real cars."""
    frames = {"car": REAL / "real" / "car" / "frames"}
    labels = {"car": REAL / "real" / "car" / "labels.csv"}
    for name in ("tub_road", "tub_floor"):
        frames[name] = run.made(name, "import", REAL / "real" / name, "--output", None)
        labels[name] = frames[name]
    for model, name in itertools.product(any_camera.MODELS, any_camera.DRIVES):
        rows = ("--rows", "80:240") if name == "car" else ()
        output = ("-o", run.folder / f"{model}.{name}.csv", "--force")
        run.bcclone("predict", ROOT / "models" / f"{model}.h5", frames[name], *output, *rows)
    return any_camera.collect(run.folder, labels)


# the recordings of our simulator in which faults are planted -> how they are made
_FAULTLESS = {
    "lake": (),
    "lake-reverse": ("--reverse", "--seed", 1),
    "lake-keyboard": ("--steering", "keyboard", "--seed", 2),
    "lake-fog": ("--fog", 5, "--seed", 3),
    "mountain": ("--road", "mountain", "--speed", 20, "--seed", 4),
    "mountain-reverse": ("--road", "mountain", "--speed", 20, "--reverse", "--seed", 5),
    "random-3": ("--road", "random:3", "--seed", 6),
    "random-12": ("--road", "random:12", "--seed", 7),
    "random-33": ("--road", "random:33", "--rain", 0.5, "--seed", 8),
    "random-44": ("--road", "random:44", "--seed", 9),
}


def measure_recording_faults(run: Commands) -> Any:
    """Plant faults in recordings of our simulator, of the Unity program and of real cars."""
    recordings = []
    for name, options in _FAULTLESS.items():
        recordings.append(run.made(name, "simulate", "record", None, "--laps", 1, *options))
    recordings += [REAL / "recordings" / name for name in ("lake_linux", "mountain_windows")]
    for name in ("tub_road", "tub_floor"):
        recordings.append(run.made(name, "import", REAL / "real" / name, "--output", None))
    return run.benchmark("recording-faults", "--recordings", ",".join(map(str, recordings)))


def measure_by_fuzzing(run: Commands) -> Any:
    """Change files at random for a minute for each reader."""
    run.module("tests.fuzz", "--seconds", 60, "--seed", 1, "-o", run.folder / "fuzz.json")
    return json.loads((run.folder / "fuzz.json").read_text(encoding="utf-8"))


_DRIVES = ("camera", "dataset", "model", "simulator", "evaluation", "drive/controller.py")
_TRAINS = ("dataset", "feed", "model", "training")


@dataclass(frozen=True)
class Result:
    """A file in docs/results/."""

    make: Callable[[Commands], Any]  # runs what gives its figures, and returns them
    # what it measures and measures by, below bcclone/, or below the root if it begins with /
    code: Sequence[str]
    # gives a part of its figures; None for a result that is quickly made or depends on the machine
    part: Callable[[Commands], Any] | None = None


def _benchmark(name: str, *code: str, options: Sequence[str] = ()) -> Result:
    place = name.replace("-", "_")
    path = place if (ROOT / "benchmarks" / place).is_dir() else f"{place}.py"
    return Result(lambda run: run.benchmark(name, *options), (*code, f"/benchmarks/{path}"))


def _suite(model: str, rows: str, *options: object) -> Result:
    """Return a suite of a shipped model; rows: those of its part"""
    file = ROOT / "models" / f"{model}.h5"
    return Result(
        lambda run: run.printed("suite", file, *options),
        (*_DRIVES, f"/models/{model}.h5"),
        lambda run: rows_of(run.printed("suite", file, *options, "--rows", rows)),
    )


def part_of_replay(run: Commands) -> Any:
    """Train two networks for the lake, and compare their drives with replays."""
    return {"rows": run.benchmark("replay", "--roads", "lake", "--networks", 2)["rows"]}


RESULT_OF = {
    "drive": _benchmark("drive", "drive", "model", "web", "dataset/preprocessing.py"),
    "preprocess": _benchmark("preprocess", "recording", "camera", "dataset"),
    "feeds": _benchmark("feeds", "dataset", "feed"),
    "waits": _benchmark("waits", "recording", *_TRAINS, *_DRIVES, options=["--demo"]),
    "env": _benchmark("env", "research/environment.py", "simulator"),
    "cluster": _benchmark("cluster", *_TRAINS),
    "replay": replace(
        _benchmark("replay", *_TRAINS, *_DRIVES, options=["--folder", "replay"]),
        part=part_of_replay,
    ),
    "suite": Result(measure_suite, (*_TRAINS, *_DRIVES, "/models/lake.h5"), part_of_suite),
    "replay-recordings": Result(
        measure_replays_of_recordings,
        (*_TRAINS, *_DRIVES, "/models/lake.h5"),
        part_of_replays_of_recordings,
    ),
    "suite-others": Result(
        measure_suite_of_others,
        _DRIVES,
        lambda run: rows_of(measure_suite_of_others(run, "--rows", "lake-30,shadows")),
    ),
    "suite-testing": _suite("lake", "fog,snow-100", "--suite", "testing", "--laps", 0.35),
    "any-road": _suite("any-road", "random-0-15,random-7-25", "--suite", "roads"),
    "any-camera": Result(
        measure_real_cameras,
        (
            "camera",
            "dataset",
            "model",
            "evaluation",
            "/models/any-road.h5",
            "/models/any-camera.h5",
        ),
    ),
    "recording-faults": Result(
        measure_recording_faults,
        (
            "recording",
            "camera",
            "diagnosis",
            "/benchmarks/recording_faults.py",
            "/benchmarks/planted_faults.py",
            "/benchmarks/local_faults.py",
        ),
    ),
    "fuzz": Result(measure_by_fuzzing, ("recording", "exchange", "model", "system", "/tests/fuzz")),
}


def make(name: str, folder: Path) -> None:
    """Make a result anew, in docs/results/."""
    run = Commands(folder)
    code = _code_of(name)  # it may change while it is measured
    figures = RESULT_OF[name].make(run)
    _write(name, {"made_by": run.lines, **figures}, code)


def confirm(name: str, folder: Path) -> None:
    """Make a part of a result anew, and note that the code of today gives the same figures.

    The program ends if it gives others.
    """
    run = Commands(folder)
    code = _code_of(name)
    result = RESULT_OF[name]
    assert result.part is not None  # main() asks for no other
    kept = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    if not is_part(result.part(run), kept):
        sys.exit(f"{name}: the code of today gives other figures; make it anew, without --confirm")
    _write(name, kept | {"confirmed_by": run.lines}, code)


def is_part(part: Any, whole: Any) -> bool:
    """Return whether all values of a part are those of the whole; lists may have them anywhere."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(
            name in whole and is_part(value, whole[name]) for name, value in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and all(
            any(is_part(value, other) for other in whole) for value in part
        )
    return bool(part == whole)


def _code_of(name: str) -> dict[str, Any]:
    """Return what a result keeps of the code that it measures."""
    places = RESULT_OF[name].code
    return {"places": list(places), "digest": digest_of(places)}


def _write(name: str, figures: Mapping[str, Any], code: Mapping[str, Any]) -> None:
    write_text(RESULTS / f"{name}.json", json.dumps({**figures, "code": code}, indent=1) + "\n")


# ---- whose code has changed


def changed(root: Path = ROOT, measured: Mapping[str, Result] = RESULT_OF) -> Iterator[str]:
    """Yield the names of the results whose code has changed since they were made."""
    for path in sorted((root / "docs" / "results").glob("*.json")):
        kept = json.loads(path.read_text(encoding="utf-8")).get("code", {})
        result = measured.get(path.stem)
        is_same = result is not None and kept.get("places") == list(result.code)
        if not is_same or kept["digest"] != digest_of(kept["places"], root):
            yield path.stem


def quoting(name: str, root: Path = ROOT) -> list[str]:
    """Return the pages that quote a result, without the lab log, which keeps what was."""
    pages = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("models/*.md")]
    pages += root.glob("writeup_images/*.md")
    found = []
    for page in sorted(pages):
        text = page.read_text(encoding="utf-8")
        tables = re.findall(r"<!-- table: ([\w-]+) -->", text)
        is_shown = any(name in TABLES[table].results for table in tables)
        if f"results/{name}.json" in text or f"({name}.png)" in text or is_shown:
            found.append(str(page.relative_to(root)))
    return found


def digest_of(places: Sequence[str], root: Path = ROOT) -> str:
    """Return 16 digits of the SHA-256 of the code in these places, in whichever files it stands."""
    code: list[bytes] = []
    for place in places:
        path = root / place[1:] if place.startswith("/") else root / "bcclone" / place
        files = list(path.rglob("*.py")) if path.is_dir() else [path]
        if not files:
            raise FileNotFoundError(path)
        for file in files:
            code += _code_in(file)
    found = hashlib.sha256()
    for part in sorted(code):
        found.update(hashlib.sha256(part).digest())
    return found.hexdigest()[:16]


def _code_in(path: Path) -> Iterator[bytes]:
    """Yield what a file does: its bytes; or the syntax trees of a module's statements, without
    imports, docstrings, and texts of several words, which are for readers.
    """
    content = path.read_bytes()
    if path.suffix != ".py":
        yield content
        return
    tree = ast.parse(content)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(
            node
        ):
            del node.body[0]
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            node.value = ""
    for statement in tree.body:
        if not isinstance(statement, (ast.Import, ast.ImportFrom)):
            yield ast.dump(statement).encode()


if __name__ == "__main__":
    main()
