"""Compare networks: a recording -> how well each drives: cnn, its variants, recurrent and published
ones.

Each model is trained, replays the end of the recording and a road that it has not seen, and drives
rows of the suite. The variants of cnn exist here alone. Each begins as a model file with an
untrained network, from which model.py trains.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bcclone import Store, UserError
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, Names, Seed, SettingError, setting
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.training.train_settings import LEARNING_RATE
from benchmarks.measures import Report, aligned
from benchmarks.rounds import folder_of, in_fresh_process, once, run_bcclone

ROWS = ("lake-30", "lake-reverse-30", "latency-200", "no-lines")
_DRIVEN = ("autonomy_percent", "interventions", "mean_abs_cross_track_m")
_REPLAYED = (
    "interventions",
    "rms_cross_track_m",
    "steering_correlation",
    "steering_correlation_smoothed",
)


@dataclass(frozen=True)
class Network:
    """A network to compare. store, options: of preprocess.py and model.py.

    changes: values of cnn's layers by their names, None for a layer that is left out.
    """

    title: str
    options: str = ""
    store: str = ""
    changes: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


_PADDED = {"padding": "same"}
NETWORKS = {
    "single": Network("single frames"),
    "stacked3": Network("3 frames stacked", "--seq-length 3"),
    "gru3": Network("GRU, 3 frames", "--network gru --seq-length 3"),
    "lstm3": Network("LSTM, 3 frames", "--network lstm --seq-length 3"),
    "no-conv4-5": Network("no conv4, conv5", changes={"conv4": None, "conv5": None}),
    "padded": Network("conv4, conv5 padded", changes={"conv4": _PADDED, "conv5": _PADDED}),
    "fewer-strides": Network("conv3 with stride 1", changes={"conv3": {"strides": (1, 1)}}),
    "64x64": Network("64x64 input", store="--size 64"),
    "dave-2": Network("DAVE-2", "--network dave-2", "--preprocess nvidia-66x200-yuv"),
    "chauffeur": Network("Chauffeur", "--network chauffeur", "--preprocess chauffeur-120x320-yuv"),
    "epoch": Network("Epoch", "--network epoch", "--preprocess epoch-128x128-rgb"),
    "gray20": Network("20 gray frames, 80x120", store="--preprocess gray-80x120 --seq-length 20"),
}


@dataclass(frozen=True)
class Settings(Checked):
    """Which networks are compared, on which roads."""

    only: Names = setting((), "compare only these networks, separated by commas", shown="all")
    recording: Path | None = setting(
        None, "recording to train on", unit="PATH", shown="two simulated laps"
    )
    unseen: Path | None = setting(
        None, "recording of another road to replay", unit="PATH", shown="the same"
    )
    seeds: Seed = setting(1, "number of trainings of each network, with seeds from 0", 1, 100)
    epochs: Count = setting(20, "passes of each training", 1, 10_000)
    laps: float = setting(1.0, "laps that each model drives in a row of the suite", above=0)
    folder: Path | None = setting(
        None,
        "folder that keeps models and results; models that are complete there are not trained "
        "again",
        unit="DIR",
    )

    def validate(self) -> None:
        if unknown := [name for name in self.only if name not in NETWORKS]:
            raise SettingError(
                "{only} {names}, expected some of {all}",
                names=", ".join(unknown),
                all=", ".join(NETWORKS),
            )


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the figures and the commands of each model, which docs/networks.py compares; raises
    UserError.
    """
    models: dict[str, Any] = {}
    failed: dict[str, str] = {}
    with folder_of(settings.folder) as folder:
        recording = settings.recording or folder / "laps"
        if not recording.exists() and settings.recording is None:
            run_bcclone("simulate", "record", recording, "--laps", 2)
        for name in (
            f"{network}-{seed}"
            for seed in range(settings.seeds)
            for network in settings.only or NETWORKS
        ):
            measure_one = partial(_measure, name, recording, folder, settings)
            try:
                models[name] = once(
                    folder / f"{name}.json", measure_one, f"training and driving: {name}", notify
                )
            except UserError as error:
                failed[name] = str(error)
    machine = f"{usable_cores()} cores; {settings.epochs} passes"
    return Report(
        tables=_table(models), values={"machine": machine, "models": models}, failed=failed
    )


def _measure(name: str, recording: Path, folder: Path, settings: Settings) -> dict[str, Any]:
    """Train and drive a model. name: of its network and its seed, such as gru3-1."""
    network, _, seed = name.rpartition("-")
    chosen, store, model = NETWORKS[network], folder / f"{network}.h5", folder / f"{name}.model.h5"
    commands = []

    def run(*words: object) -> tuple[Any, str]:
        shown = ["bcclone", *(word.name if isinstance(word, Path) else str(word) for word in words)]
        commands.append(" ".join(shown))
        return run_bcclone(*words)

    run("preprocess", recording, "-o", store, "--force", *chosen.store.split())
    options: list[object] = [*chosen.options.split()]
    if chosen.changes:
        start = folder / f"{name}.untrained.h5"
        in_fresh_process(write_variant, start, network, int(seed), store)
        options = ["--from", start, "--learning-rate", LEARNING_RATE]
    trained, log = run(
        *(
            "model",
            store,
            "-o",
            model,
            "--force",
            "--seed",
            seed,
            "--epochs",
            settings.epochs,
            "--no-plots",
        ),
        *("--runs", folder / "runs", *options),
    )
    replays = {
        "replay": run("replay", model, recording, "--fraction", "0.8:1")[0],
        "replay-mountain": run("replay", model, settings.unseen or recording)[0],
    }
    suite, _ = run("suite", model, "--rows", ",".join(ROWS), "--laps", settings.laps)
    rows = {row["row"]: next(iter(row["models"].values())) for row in suite["rows"]}
    (parameters,) = re.findall(r"^total +([\d,]+)$", log, re.MULTILINE)  # in the table of layers
    return {
        "network": network,
        "title": chosen.title,
        "seed": int(seed),
        "commands": commands,
        "parameters": int(parameters.replace(",", "")),
        **{key: trained[key] for key in ("epochs", "seconds", "val_loss", "samples")},
        **{part: {key: figures[key] for key in _REPLAYED} for part, figures in replays.items()},
        "rows": {row: {key: figures[key] for key in _DRIVEN} for row, figures in rows.items()},
        "interventions": sum(figures["interventions"] for figures in rows.values()),
    }


def write_variant(path: Path, network: str, seed: int, store: Path) -> None:
    """Write a model file with an untrained variant of cnn for the images of a store; loads
    TensorFlow.
    """
    load_tensorflow()
    import keras

    from bcclone.model.model_file import save_model

    with Store(store) as data:
        preprocessing = data.preprocessing
    keras.utils.set_random_seed(seed)
    save_model(
        path, build_variant(network, preprocessing.height, preprocessing.width), preprocessing, {}
    )


def build_variant(network: str, height: int = 128, width: int = 128) -> Any:
    """Return an untrained cnn with the changes of a network, a keras.Model."""
    import keras

    from bcclone.model.network import build_network

    changes = NETWORKS[network].changes
    layers = [
        layer
        for layer in build_network((height, width, 3)).layers
        if changes.get(layer.name, {}) is not None
    ]
    changed = [
        type(layer).from_config(layer.get_config() | (changes.get(layer.name) or {}))
        for layer in layers
    ]
    return keras.Sequential(
        [keras.Input((height, width, 3), dtype="uint8", name="frame"), *changed], name="bcclone"
    )


def _table(models: Mapping[str, Any]) -> list[str]:
    rows = [["", "parameters", "val. loss", "correlation", "interventions", "m from the middle"]]
    for name, one in models.items():
        distances = " ".join(f"{row['mean_abs_cross_track_m']:.2f}" for row in one["rows"].values())
        figures = (
            (one["val_loss"], ".4f"),
            (one["replay"]["steering_correlation_smoothed"], ".2f"),
        )
        shown = [
            "" if value is None else format(value, form) for value, form in figures
        ]  # None: a short recording
        rows.append([name, f"{one['parameters']:,}", *shown, str(one["interventions"]), distances])
    return aligned(rows)
