"""Convert a Keras model of another program to a bcclone model file, which states its preprocessing.

In: the settings, with the path of the model and what its file does not state. Out: the model file,
and an `ImportModelResult` that describes it. Importing this loads nothing large, for --help.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.dataset.preprocessing_text import PreprocessingText, scaling_of_text
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import MODEL, inputs_of, writing
from bcclone.system.settings import Checked, Force, SettingError, argument, setting

if TYPE_CHECKING:
    from bcclone.model.foreign.weights import RebuiltModel


@dataclass(frozen=True)
class ImportModelSettings(Checked):
    """Which model to import, and what its file does not state."""

    old: Path = argument("a Keras .h5 or .keras file of another program")
    output: Path = setting(Path("model.h5"), "the model file to write")
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
                scaling_of_text(self.rescale)
            except ValueError as error:
                raise SettingError("{rescale} {value}", value=error) from None


@dataclass(frozen=True)
class ImportModelResult:
    """An imported model."""

    model: str  # path of the file written
    rebuilt: "RebuiltModel"  # the model's network and its origin
    preprocessing: str  # how its frames are prepared

    def as_json(self) -> dict[str, Any]:
        """Return the values of --json.

        They include the shape of the input, without the batch, and the number of weights.
        """
        rebuilt = self.rebuilt
        return {
            "model": self.model,
            "keras_version": rebuilt.keras_version,
            "backend": rebuilt.backend,
            "layers": rebuilt.layers,
            "notes": rebuilt.notes,
            "preprocessing": self.preprocessing,
            "input_shape": rebuilt.model.input_shape[1:],
            "weights": rebuilt.model.count_params(),
        }

    def as_text(self) -> str:
        drive = shown_command("drive", self.model, "run1")
        return (
            f"its frames are prepared as {self.preprocessing}\n{self.model}: written; next: {drive}"
        )


def import_model(
    settings: ImportModelSettings, notify: Callable[[str], None] = lambda line: None
) -> ImportModelResult:
    """Rebuild the network of a model file, without running code in it, and write a model of ours.

    Raises UserError when the file cannot be imported, when its preprocessing is missing or wrong,
    or when the output cannot be written.

    notify: called with lines that describe the network, before its preprocessing is checked
    """
    from bcclone.system.tensorflow_quietly import load_tensorflow

    if settings.output.suffix != ".h5":
        raise UserError(f"{settings.output}: a model's name must end in .h5; name another -o")
    with writing(settings.output, MODEL, settings.force, inputs_of(settings)):
        load_tensorflow()
        from bcclone.model.model_file import ModelFile, open_model, save_model

        rescale = scaling_of_text(settings.rescale) if settings.rescale else None
        loaded = open_model(settings.old, settings.preprocess, rescale)
        if isinstance(loaded, ModelFile):
            raise UserError(f"{settings.old} is a bcclone model already; copy the file instead")
        for line in loaded.describe():
            notify(line)
        network, preprocessing, training = loaded.declared(settings.preprocess)
        save_model(settings.output, network, preprocessing, {"imported": training.imported})
    return ImportModelResult(str(settings.output), loaded.rebuilt, preprocessing.describe())
