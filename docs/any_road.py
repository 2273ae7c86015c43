"""Results of models/any-road.h5 and of fine-tuning it, and the picture about them.

    python docs/any_road.py collect FOLDER

collect writes the results in a folder to docs/results/any-road.json. FOLDER holds the --json of
model, `suite --suite roads` and replay of both recordings as seed-N.train.json, .suite.json,
.replay-lake_linux.json and .replay-mountain_windows.json.

For fine-tuning it holds those of model, `suite` and `replay --fraction 0.5:1` as
RECORDING-PART-START.train.json, .suite.json and .replay.json: the first 1/PART of the recording, or
nothing of it if PART is 0, and START is any (--from models/any-road.h5) or scratch.

docs/result_pictures.py draws the picture.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any

from bcclone.pictures.plots.style import BLUE, RED, new_figure, save, tidy

RESULTS = Path(__file__).parent / "results" / "any-road.json"
RECORDINGS = {"lake_linux": 109.7, "mountain_windows": 110.4}  # seconds, by the times of their rows
STARTS = {"scratch": "from scratch", "any": "from `models/any-road.h5`"}


def main() -> None:
    """Collect the results in a folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    collecting = commands.add_parser("collect", help=f"write docs/results/{RESULTS.name}")
    collecting.add_argument("folder", type=Path, help="folder of results")
    arguments = parser.parse_args()
    results = collect(arguments.folder)
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


# ---- collecting


def collect(folder: Path) -> dict[str, Any]:
    """Return the figures of the models whose results are all in the folder."""
    parts = (0, 8, 4, 2, 1)  # of a recording; 0: none of it
    models = {}
    for seed in range(100):
        if (folder / f"seed-{seed}.train.json").is_file():
            models[f"seed {seed}"] = _model(folder, seed)
    tuned = []
    for recording, part, start in product(RECORDINGS, parts, STARTS):
        figures = _tuned_model(folder, recording, part, start)
        if figures:
            tuned.append(figures)
    return {"machine": "2 cores without a GPU", "models": models, "fine-tuning": tuned}


def _model(folder: Path, seed: int) -> dict[str, Any]:
    """Return the figures of a model of any road."""
    name = f"seed-{seed}"
    replays = {
        recording: _replay(folder / f"{name}.replay-{recording}.json") for recording in RECORDINGS
    }
    return {
        "training": _training(folder / f"{name}.train.json"),
        "rows": _rows(folder / f"{name}.suite.json"),
        "replays": replays,
    }


def _tuned_model(folder: Path, recording: str, part: int, start: str) -> dict[str, Any] | None:
    """Return the figures of a model that was trained on a part of a recording.

    None if they are not all there.
    """
    name = f"{recording}-{part}-{start}"
    train = folder / f"{name}.train.json"
    suite = folder / f"{name}.suite.json"
    replay = folder / f"{name}.replay.json"
    for path in (train, suite, replay):
        # a command that was interrupted leaves an empty file
        if not path.is_file() or not path.stat().st_size:
            return None
    return {
        "recording": recording,
        "seconds": _seconds(recording, part),
        "start": start,
        "training": _training(train),
        "rows": _rows(suite),
        "replay": _replay(replay),
    }


def _seconds(recording: str, part: int) -> float:
    return round(RECORDINGS[recording] / part, 1) if part else 0.0


def _training(path: Path) -> dict[str, Any]:
    printed = json.loads(path.read_text())
    return {key: printed[key] for key in ("epochs", "seconds", "val_loss")}


def _rows(path: Path) -> dict[str, Any]:
    """Return the figures of the drives of a suite, by the names of its rows."""
    keys = ("autonomy_percent", "interventions", "mean_abs_cross_track_m", "max_abs_cross_track_m")
    drives = {}
    for row in json.loads(path.read_text())["rows"]:
        (drive,) = row["models"].values()
        drives[row["row"]] = {key: drive[key] for key in keys}
    return drives


def _replay(path: Path) -> dict[str, Any]:
    figures = json.loads(path.read_text())
    if "models" in figures:  # of a replay of several models, here of one
        (figures,) = figures["models"].values()
    return {
        "steering_correlation": figures["steering_correlation"],
        "steering_correlation_smoothed": figures["steering_correlation_smoothed"],
        "interventions": {
            limit: replay["interventions"] for limit, replay in figures["by_limit"].items()
        },
    }


# ---- the picture


def draw(stored: Mapping[str, Any], path: Path) -> None:
    """Draw what a recording is worth, as a PNG: the scores against its seconds.

    A line is for models from scratch, and one for those that begin with models/any-road.h5.
    """
    title = "What a recording is worth: from scratch, and halfway from models/any-road.h5"
    figure = new_figure(6.6, title)
    panels = figure.subplots(2, 2).flatten()
    for number, recording in enumerate(RECORDINGS):
        models = [model for model in stored["fine-tuning"] if model["recording"] == recording]
        drives, replay = panels[2 * number : 2 * number + 2]
        _draw_panel(drives, models, _driven)
        drives.set_title(f"{recording}:\ninterventions in\nsimulated drives")
        _draw_panel(replay, models, _replayed)
        replay.set_title(f"{recording}:\ninterventions in\nits last half")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", frameon=False)
    save(figure, path)


def _draw_panel(
    axes: Any, models: list[dict[str, Any]], interventions_of: Callable[[Any], float]
) -> None:
    """Draw a line for each start: the interventions of models against the seconds."""
    for start, color in (("scratch", RED), ("any", BLUE)):
        started = [model for model in models if model["start"] == start]
        seconds = [model["seconds"] for model in started]
        interventions = [interventions_of(model) for model in started]
        label = STARTS[start].replace("`", "")
        axes.plot(seconds, interventions, "o-", color=color, label=label)
    axes.set(xlabel="seconds of recording", ylim=(0, None))
    tidy(axes)


def _driven(model: Mapping[str, Any]) -> float:
    return float(sum(drive["interventions"] for drive in model["rows"].values()))


def _replayed(model: Mapping[str, Any]) -> float:
    """Return the interventions of the replay with a limit of two metres."""
    return float(model["replay"]["interventions"]["2"])


if __name__ == "__main__":
    main()
