"""Results of models/any-road.h5 and of fine-tuning it -> docs/results/any-road.json, and the
picture about them.

    python docs/any_road.py collect FOLDER   # the results in a folder -> docs/results/any-road.json

FOLDER holds the --json of model, `suite --suite roads` and replay of both recordings as
seed-N.train.json, .suite.json, .replay-lake_linux.json and .replay-mountain_windows.json; and for
fine-tuning those of model, `suite` and `replay --fraction 0.5:1` as
RECORDING-PART-START.train.json, .suite.json and .replay.json: the first 1/PART of the recording, or
nothing of it if PART is 0, and START is any (--from models/any-road.h5) or scratch.
docs/result_pictures.py draws the picture.
"""

import json
import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from bcclone.pictures.plots.style import BLUE, RED, new_figure, save, tidy

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "docs" / "results" / "any-road.json"
RECORDINGS = {"lake_linux": 109.7, "mountain_windows": 110.4}  # seconds, by the times of their rows
PARTS = (0, 8, 4, 2, 1)  # 0: none of it
STARTS = {"scratch": "from scratch", "any": "from `models/any-road.h5`"}
_SCORE = ("autonomy_percent", "interventions", "mean_abs_cross_track_m", "max_abs_cross_track_m")
_REPLAY = ("steering_correlation", "steering_correlation_smoothed")


def collect(folder: Path) -> dict[str, Any]:
    """Return the figures of the models whose results are all in the folder."""
    models = {}
    for seed in range(100):
        path = folder / f"seed-{seed}.train.json"
        if path.is_file():
            models[f"seed {seed}"] = {
                "training": _training(path),
                "rows": _rows(folder / f"seed-{seed}.suite.json"),
                "replays": {
                    name: _replay(folder / f"seed-{seed}.replay-{name}.json") for name in RECORDINGS
                },
            }
    tuned = [
        one
        for choice in product(RECORDINGS, PARTS, STARTS)
        if (one := _tuned_model(folder, *choice))
    ]
    return {"machine": "2 cores without a GPU", "models": models, "fine-tuning": tuned}


def _tuned_model(folder: Path, recording: str, part: int, start: str) -> dict[str, Any] | None:
    """Return the figures of a model that was trained on a part of a recording, None if they are not
    all there.
    """
    paths = [
        folder / f"{recording}-{part}-{start}.{what}.json" for what in ("train", "suite", "replay")
    ]
    if not all(path.is_file() and path.stat().st_size for path in paths):
        return None
    return {
        "recording": recording,
        "seconds": _seconds(recording, part),
        "start": start,
        "training": _training(paths[0]),
        "rows": _rows(paths[1]),
        "replay": _replay(paths[2]),
    }


def _seconds(recording: str, part: int) -> float:
    return round(RECORDINGS[recording] / part, 1) if part else 0.0


def _training(path: Path) -> dict[str, Any]:
    stored = json.loads(path.read_text())
    return {key: stored[key] for key in ("epochs", "seconds", "val_loss")}


def _rows(path: Path) -> dict[str, Any]:
    rows = json.loads(path.read_text())["rows"]
    drives = {row["row"]: next(iter(row["models"].values())) for row in rows}
    return {name: {key: drive[key] for key in _SCORE} for name, drive in drives.items()}


def _replay(path: Path) -> dict[str, Any]:
    stored = json.loads(path.read_text())
    figures = next(iter(stored["models"].values())) if "models" in stored else stored
    interventions = {limit: one["interventions"] for limit, one in figures["by_limit"].items()}
    return {key: figures[key] for key in _REPLAY} | {"interventions": interventions}


def draw(stored: Mapping[str, Any], path: Path) -> None:
    """Draw the scores against the seconds of recording, with and without the model to begin with,
    as a PNG.
    """
    figure = new_figure(
        10, 4.2, "What a recording is worth, from scratch and from models/any-road.h5"
    )
    panels = figure.subplots(1, 4)
    for number, name in enumerate(RECORDINGS):
        for what, axes in (("drives", panels[2 * number]), ("replay", panels[2 * number + 1])):
            for start, color in (("scratch", RED), ("any", BLUE)):
                of = [
                    one
                    for one in stored["fine-tuning"]
                    if (one["recording"], one["start"]) == (name, start)
                ]
                axes.plot([one["seconds"] for one in of], [_value(one, what) for one in of], "o-", color=color,
                          label=STARTS[start].replace("`", ""))  # fmt: skip
            axes.set_title(f"{name}:\n{_TITLES[what]}", fontsize=9)
            axes.set(xlabel="seconds of recording", ylim=(0, None))
            tidy(axes)
    panels[2].legend(fontsize=8, frameon=False, loc="center left")
    save(figure, path)


_TITLES = {
    "drives": "interventions in simulated drives",
    "replay": "interventions in its last half",
}


def _value(one: Mapping[str, Any], what: str) -> float:
    if what == "replay":
        return float(one["replay"]["interventions"]["2"])
    return float(sum(drive["interventions"] for drive in one["rows"].values()))


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments[:1] != ["collect"] or len(arguments) != 2:
        sys.exit(__doc__)
    RESULTS.write_text(json.dumps(collect(Path(arguments[1])), indent=1) + "\n", encoding="utf-8")
