"""Compare networks: a recording -> how well each drives.

Compared are cnn, its variants and recurrent networks. Each model is trained, replays the
end of the recording and a road that it has not seen, and drives rows of the suite. The variants of
cnn exist here alone. Each begins as a model file with an untrained network, from which model.py
trains.
"""

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bcclone import UserError
from bcclone.dataset.shards import open_store
from bcclone.system.hardware import usable_cores
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, Names, Seed, setting
from bcclone.system.tensorflow_quietly import load_tensorflow
from bcclone.training.train_settings import ADAMW, USUAL_RATES
from benchmarks.measures import Report, aligned
from benchmarks.rounds import check_names, folder_of, in_fresh_process, once, run_bcclone

Figures = dict[str, Any]  # name -> value, as JSON has it


@dataclass(frozen=True)
class Network:
    """A network to compare."""

    title: str
    options: str = ""  # of model.py
    store: str = ""  # options of preprocess.py
    # changes of cnn's layers: name of a layer -> new values, None to leave the layer out
    changes: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)


_PADDED = {"padding": "same"}
NETWORKS = {
    "small": Network("the usual one", "--network cnn-small"),
    "single": Network("single frames", "--network cnn"),
    "stacked3": Network("3 frames stacked", "--network cnn --seq-length 3"),
    "gru3": Network("GRU, 3 frames", "--network gru --seq-length 3"),
    "lstm3": Network("LSTM, 3 frames", "--network lstm --seq-length 3"),
    "no-conv4-5": Network("no conv4, conv5", changes={"conv4": None, "conv5": None}),
    "padded": Network("conv4, conv5 padded", changes={"conv4": _PADDED, "conv5": _PADDED}),
    "fewer-strides": Network("conv3 with stride 1", changes={"conv3": {"strides": (1, 1)}}),
    "64x64": Network("64x64 input", "--network cnn", store="--size 64"),
    "gray20": Network(
        "20 gray frames, 80x120", "--network cnn", "--preprocess gray-80x120 --seq-length 20"
    ),
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
        check_names(self.only, NETWORKS)


def measure(settings: Settings, notify: Notify) -> Report:
    """Return the figures and the commands of each model, of which tables can be made.

    Raises UserError.
    """
    models: dict[str, Figures] = {}
    failed: dict[str, str] = {}
    networks = settings.only or tuple(NETWORKS)
    with folder_of(settings.folder) as folder:
        recording = _recording(settings, folder)
        # all networks with one seed come first, so that an early end leaves a whole comparison
        for seed, network in itertools.product(range(settings.seeds), networks):
            trial = Trial(network, seed, recording, folder, settings)
            name = trial.name
            path = folder / f"{name}.json"
            try:
                models[name] = once(path, trial.figures, f"training and driving: {name}", notify)
            except UserError as error:
                failed[name] = str(error)
    machine = f"{usable_cores()} cores; {settings.epochs} passes"
    values = {"machine": machine, "models": models}
    return Report(tables=_table(models), values=values, failed=failed)


def _recording(settings: Settings, folder: Path) -> Path:
    """Return the recording to train on; two laps are simulated, once, if none was given."""
    if settings.recording is not None:
        return settings.recording
    laps = folder / "laps"
    if not laps.exists():
        run_bcclone("simulate", "record", laps, "--laps", 2)
    return laps


# ---- one model


class Trial:
    """The training of a network with a seed, and its drives.

    folder: for the store and the model
    """

    def __init__(
        self, network: str, seed: int, recording: Path, folder: Path, settings: Settings
    ) -> None:
        self.name = f"{network}-{seed}"
        self._network = network
        self._seed = seed
        self._recording = recording
        self._folder = folder
        self._settings = settings
        self._model = folder / f"{self.name}.model.h5"
        self._commands: list[str] = []  # those that were run

    def figures(self) -> Figures:
        """Train, replay and drive; return the figures. Raises UserError."""
        trained, parameters = self._train()
        # the last fifth of its recording, which it has not been trained on, and another road
        unseen = self._settings.unseen or self._recording
        replay = self._replay(self._recording, "--fraction", "0.8:1")
        replay_of_unseen = self._replay(unseen)
        rows = self._drive()
        return {
            "network": self._network,
            "title": NETWORKS[self._network].title,
            "seed": self._seed,
            "commands": self._commands,
            "parameters": parameters,
            **trained,
            "replay": replay,
            "replay-mountain": replay_of_unseen,
            "rows": rows,
            "interventions": sum(row["interventions"] for row in rows.values()),
        }

    def _run(self, *words: object) -> tuple[Any, str]:
        """Run a command of bcclone, and note it without the folders of this machine."""
        shown = ["bcclone"]
        for word in words:
            text = word.name if isinstance(word, Path) else str(word)
            shown.append(text)
        self._commands.append(" ".join(shown))
        return run_bcclone(*words)

    def _train(self) -> tuple[Figures, int]:
        """Write the store and the model; return figures of the training, and the parameters."""
        network = NETWORKS[self._network]
        store = self._folder / f"{self._network}.h5"
        store_options = network.store.split()
        self._run("preprocess", self._recording, "-o", store, "--force", *store_options)

        options: list[object] = [*network.options.split()]
        if network.changes:
            start = self._folder / f"{self.name}.untrained.h5"
            in_fresh_process(write_variant, start, self._network, self._seed, store)
            options = ["--from", start, "--learning-rate", USUAL_RATES[ADAMW]]
        line: list[object] = ["model", store, "-o", self._model, "--force", "--seed", self._seed]
        line += ["--epochs", self._settings.epochs, "--no-plots"]
        line += ["--runs", self._folder / "runs"]
        trained, log = self._run(*line, *options)

        # the last line of the table of layers
        (parameters,) = re.findall(r"^total +([\d,]+)$", log, re.MULTILINE)
        keys = ("epochs", "seconds", "val_loss", "samples")
        return {key: trained[key] for key in keys}, int(parameters.replace(",", ""))

    def _replay(self, recording: Path, *options: str) -> Figures:
        """Return how well the model follows a recording."""
        replay, _ = self._run("replay", self._model, recording, *options)
        keys = (
            "interventions",
            "rms_cross_track_m",
            "steering_correlation",
            "steering_correlation_smoothed",
        )
        return {key: replay[key] for key in keys}

    def _drive(self) -> dict[str, Figures]:
        """Return how well the model drives in rows of the suite, by their names."""
        names = ",".join(("lake-30", "lake-reverse-30", "latency-200", "no-lines"))
        line = ("suite", self._model, "--rows", names, "--laps", self._settings.laps)
        suite, _ = self._run(*line)
        keys = ("autonomy_percent", "interventions", "mean_abs_cross_track_m")
        rows = {}
        for row in suite["rows"]:
            (drive,) = row["models"].values()
            rows[row["row"]] = {key: drive[key] for key in keys}
        return rows


# ---- variants of cnn


def write_variant(path: Path, network: str, seed: int, store: Path) -> None:
    """Write a model file with an untrained variant of cnn for the images of a store.

    Loads TensorFlow.
    """
    load_tensorflow()
    import keras

    from bcclone.model.model_file import save_model

    with open_store(store) as data:
        preprocessing = data.preprocessing
    keras.utils.set_random_seed(seed)
    variant = build_variant(network, preprocessing.height, preprocessing.width)
    save_model(path, variant, preprocessing, {})


def build_variant(network: str, height: int = 128, width: int = 128) -> Any:
    """Return an untrained cnn with the changes of a network, a keras.Model."""
    import keras

    from bcclone.model.network import build_network

    changes = NETWORKS[network].changes
    layers = [keras.Input((height, width, 3), dtype="uint8", name="frame")]
    for layer in build_network((height, width, 3), network="cnn").layers:
        values = changes.get(layer.name, {})
        if values is None:  # it is left out
            continue
        layers.append(type(layer).from_config(layer.get_config() | values))
    return keras.Sequential(layers, name="bcclone")


# ---- the table


def _table(models: Mapping[str, Figures]) -> list[str]:
    rows = [["", "parameters", "val. loss", "correlation", "interventions", "m from the middle"]]
    for name, figures in models.items():
        correlation = figures["replay"]["steering_correlation_smoothed"]
        distances_m = [row["mean_abs_cross_track_m"] for row in figures["rows"].values()]
        row = [
            name,
            f"{figures['parameters']:,}",
            _shown(figures["val_loss"], ".4f"),
            _shown(correlation, ".2f"),
            str(figures["interventions"]),
            " ".join(f"{distance:.2f}" for distance in distances_m),
        ]
        rows.append(row)
    return aligned(rows)


def _shown(value: float | None, form: str) -> str:
    """Return a figure as text; "" for one that a short recording does not give."""
    return "" if value is None else format(value, form)
