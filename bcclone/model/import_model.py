"""Convert a Keras model of another program to a bcclone model file, which states its preprocessing.

Importing this loads nothing large, for --help.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.dataset.preprocessing_text import PreprocessingText, scaling_of
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import MODEL, inputs_of, writing
from bcclone.system.settings import Checked, Force, SettingError, argument, setting

if TYPE_CHECKING:
    from bcclone.model.foreign.weights import RebuiltModel


@dataclass(frozen=True)
class ImportModelSettings(Checked):
    """Which model to import, and what its file does not state."""

    old: Path = argument("a Keras .h5 or .keras file of another program")
    output: Path = setting(Path("model.h5"), "the model file to write", writes=True)
    # the types Force and PreprocessingText bring the help of these two
    force: Force = setting(False)
    preprocess: PreprocessingText | None = setting(None)
    rescale: str | None = setting(
        None,
        "what a Lambda layer computes whose code is not recognised, such as 'x / 127.5 - 1'; see "
        "the script that trained the model",
        unit="FORMULA",
        shown="as recognised",
    )

    def validate(self) -> None:
        if self.rescale is not None:
            try:
                scaling_of(self.rescale)
            except ValueError as error:
                raise SettingError("{rescale} {value}", value=error) from None


def import_model(
    settings: ImportModelSettings, notify: Callable[[str], None] = lambda line: None
) -> dict[str, Any]:
    """Rebuild the network of a model file, without running code in it, and write a model of ours.

    Returns the values of --json; among them the shape of the input, without the batch, and the
    number of weights. Raises UserError when the file cannot be imported, when its preprocessing is
    missing or wrong, or when the output cannot be written.

    notify: called with lines that describe the network, before its preprocessing is checked
    """
    from bcclone.system.tensorflow_quietly import load_tensorflow

    if settings.output.suffix != ".h5":
        raise UserError(f"{settings.output}: a model's name must end in .h5; name another -o")
    with writing(settings.output, MODEL, settings.force, inputs_of(settings)):
        load_tensorflow()
        from bcclone.model.model_file import ModelFile, open_model, save_model, with_preprocessing
        from bcclone.model.plain_keras import OtherAnswers

        rescale = scaling_of(settings.rescale) if settings.rescale else None
        rebuilt = open_model(settings.old, settings.preprocess, rescale)
        if isinstance(rebuilt, ModelFile):
            raise UserError(f"{settings.old} is a bcclone model already; copy the file instead")
        for line in _description(settings.old, rebuilt):
            notify(line)
        file = with_preprocessing(settings.old, rebuilt, settings.preprocess)
        training = {"imported": file.training.imported}
        try:
            save_model(settings.output, file.model, file.preprocessing, training)
        except OtherAnswers as error:
            words = ["drive", settings.old, "--preprocess", settings.preprocess or "TEXT"]
            itself = shown_command(*words)
            raise UserError(f"{error}; or drive with the file that you have: {itself}") from None
    return {
        "model": str(settings.output),
        "keras_version": rebuilt.keras_version,
        "backend": rebuilt.backend,
        "layers": rebuilt.layers,
        "notes": rebuilt.notes,
        "preprocessing": file.preprocessing.describe(),
        "input_shape": rebuilt.model.input_shape[1:],
        "weights": rebuilt.model.count_params(),
    }


def _description(path: Path, rebuilt: "RebuiltModel") -> Iterator[str]:
    """Yield lines about a file, its input, its layers, and what was changed."""
    from bcclone.model.foreign.preprocessing import extents

    model = rebuilt.model
    yield (
        f"{path}: Keras {rebuilt.keras_version}, backend {rebuilt.backend}; "
        f"{model.count_params()} weights"
    )
    shape = extents(model.input_shape[1:])
    yield f"its input: {shape} values of 0 to 255, {model.inputs[0].dtype}"
    for layer in rebuilt.layers:
        changed = "" if layer["now"] == layer["kind"] else f" -> {layer['now']}"
        yield f"  {layer['name']}: {layer['kind']}{changed}"
    for line in rebuilt.notes:
        yield f"note: {line}"
