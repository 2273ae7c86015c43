"""Convert a Keras model of another program to a bcclone model file, which stores its preprocessing."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.model.keras_files.arguments import scaling_of_text
from bcclone.system.errors import UserError
from bcclone.system.output import MODEL, writes
from bcclone.system.settings import Checked, Force, Preset, SettingError, argument, setting

if TYPE_CHECKING:
    from bcclone.model.keras_files.rebuild import RebuiltLayer


@dataclass(frozen=True)
class ImportModelSettings(Checked):
    """Which model to import. old: a .h5 or .keras file."""

    old: Path = argument("a Keras .h5 or .keras file of another program")
    output: Path = setting(Path("model.h5"), "the model file to write")
    force: Force = setting(False)
    preprocess: Preset | None = setting(None)
    rescale: str | None = setting(
        None,
        "what a Lambda layer computes whose code is not recognised, such as 'x / 127.5 - 1'; see the script that "
        "trained the model",
        unit="FORMULA",
        shown="as recognised",
    )

    def validate(self) -> None:
        if self.rescale is not None:
            try:
                scaling_of_text(self.rescale)
            except ValueError as error:
                raise SettingError("{rescale} {value}", value=error) from None


@dataclass(frozen=True)
class ImportModelResult:
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
    layers: "tuple[RebuiltLayer, ...]"
    preprocessing: str


@writes(MODEL)
def import_model(settings: ImportModelSettings, notify: Callable[[str], None] = lambda line: None) -> ImportModelResult:
    """Rebuild the network of a model file without running code in it, and write it with its preprocessing.

    notify: called with lines that describe the network, before its preprocessing is checked. Raises UserError when the
    file cannot be imported, when its preprocessing is missing or wrong, or when the output cannot be written.
    """
    old, output = settings.old, settings.output
    if output.suffix != ".h5":
        raise UserError(f"{output}: a model's name must end in .h5; name another -o")
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.model.model_file import ModelFile, named_preprocessing, open_model, save_model

    loaded = open_model(old, rescale=scaling_of_text(settings.rescale) if settings.rescale else None)
    if isinstance(loaded, ModelFile):
        raise UserError(f"{old} is a bcclone model already; copy the file instead")
    for line in loaded.describe():
        notify(line)
    file = loaded.declared(named_preprocessing(settings.preprocess))
    rebuilt = loaded.rebuilt
    origin = {"keras_version": rebuilt.keras_version, "backend": rebuilt.backend, "notes": list(rebuilt.notes)}
    save_model(output, file.model, file.preprocessing, {"imported": origin})
    return ImportModelResult(
        model=str(output),
        keras_version=rebuilt.keras_version,
        backend=rebuilt.backend,
        notes=rebuilt.notes,
        input_shape=loaded.input_shape,
        weights=rebuilt.model.count_params(),
        layers=rebuilt.layers,
        preprocessing=file.preprocessing.describe(),
    )
