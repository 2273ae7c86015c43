"""Convert a Keras model of another program to a bcclone model file, which stores its preprocessing."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.system import file_kinds
from bcclone.system.errors import UserError
from bcclone.system.settings import check_settings, preprocess_setting, setting

if TYPE_CHECKING:
    from bcclone.model.model_file import ForeignModel


@dataclass(frozen=True)
class ImportSettings:
    """Which model to import. old: a .h5 or .keras file."""

    old: Path
    output: Path = setting(Path("model.h5"), "the model file to write", short="-o")
    force: bool = setting(False, "overwrite an existing model")
    preprocess: str | None = preprocess_setting()

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True)
class ImportedLayer:
    """A layer of the model: its name, its type in the file, and its type now."""

    name: str
    kind: str
    now: str


@dataclass(frozen=True)
class ImportResult:
    """An imported model.

    model: the file written; keras_version, backend: of the program that wrote the old file; notes: what was changed;
    input_shape: (rows, columns, channels), after the number of frames if it takes windows; weights: their number;
    preprocessing: description of how its frames are prepared.
    """

    model: str
    keras_version: str
    backend: str
    notes: tuple[str, ...]
    input_shape: tuple[int, ...]
    weights: int
    layers: tuple[ImportedLayer, ...]
    preprocessing: str

    def as_json(self) -> dict[str, Any]:
        """Return the values that `--json` prints."""
        return asdict(self)


def import_model(settings: ImportSettings, notify: Callable[[str], None] = lambda line: None) -> ImportResult:
    """Rebuild the network of a model file without running code in it, and write it with its preprocessing.

    notify: called with lines that describe the network, before its preprocessing is checked. Raises UserError when the
    file cannot be imported, when its preprocessing is missing or wrong, or when the output cannot be written.
    """
    old, output = settings.old, settings.output
    _check_output(settings)
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.model.model_file import ModelFile, named_preprocessing, open_model, save_model

    loaded = open_model(old)
    if isinstance(loaded, ModelFile):
        raise UserError(f"{old} is a bcclone model already; copy the file instead")
    _describe(loaded, notify)
    file = loaded.declared(named_preprocessing(settings.preprocess))
    found = loaded.found
    origin = {"keras_version": found.keras_version, "backend": found.backend, "notes": list(found.notes)}
    save_model(output, file.model, file.preprocessing, {"imported": origin})
    return ImportResult(
        model=str(output),
        keras_version=found.keras_version,
        backend=found.backend,
        notes=found.notes,
        input_shape=loaded.input_shape,
        weights=found.model.count_params(),
        layers=tuple(ImportedLayer(**asdict(layer)) for layer in found.layers),
        preprocessing=file.preprocessing.describe(),
    )


def _check_output(settings: ImportSettings) -> None:
    old, output = settings.old, settings.output
    if output.suffix != ".h5":
        raise UserError(f"{output}: a model's name must end in .h5; name another -o")
    if old.exists() and output.exists() and old.samefile(output):
        raise UserError(f"{output} is the model to import; name another -o")
    file_kinds.check_output(output, "model", settings.force)


def _describe(loaded: "ForeignModel", notify: Callable[[str], None]) -> None:
    """Describe the network and the presets that fit its input."""
    found = loaded.found
    notify(f"{loaded.path}: Keras {found.keras_version}, backend {found.backend}; {found.model.count_params()} weights")
    notify(f"its input: {' x '.join(map(str, loaded.input_shape))} values of 0 to 255, {found.model.inputs[0].dtype}")
    for layer in found.layers:
        notify(f"  {layer.name:<24}{layer.kind}{'' if layer.kind == layer.now else f' -> {layer.now}'}")
    for note in found.notes:
        notify(f"note: {note}")
    if loaded.fitting:
        notify(f"presets that fit its input: {', '.join(f'--preprocess {name}' for name in loaded.fitting)}")
