"""Convert a Keras model of another program to a bcclone model file, which states its preprocessing.

In: the settings, with the path of the model. Out: the model file, and an `ImportModelResult` that
describes it. The preprocessing that the model was trained with is given, or found with a recording.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.model.foreign.find_preprocessing import (
    Candidate,
    candidates_table,
    clear_winner,
    find_preprocessing,
)
from bcclone.model.import_settings import ImportModelSettings
from bcclone.system.errors import UserError, shown_command
from bcclone.system.files import MODEL, inputs_of, writing

if TYPE_CHECKING:
    from bcclone.model.foreign.foreign_model import ForeignModel
    from bcclone.model.foreign.rebuild import RebuiltModel


@dataclass(frozen=True)
class ImportModelResult:
    """An imported model."""

    model: str | None  # path of the file written, None if only the preprocessing was looked for
    rebuilt: "RebuiltModel"  # the model's network and its origin
    preprocessing: str | None  # how its frames are prepared; None if no file was written
    candidates: tuple[Candidate, ...]  # preprocessings that agree best with a recording, best first

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
            "candidates": self.candidates,
            "input_shape": rebuilt.model.input_shape[1:],
            "weights": rebuilt.model.count_params(),
        }

    def as_text(self) -> str:
        """Return what was written, or what to choose from."""
        lines = []
        if self.candidates:
            lines.append(
                "r: correlation with the recorded steering; error: mean absolute difference"
            )
            lines.append(candidates_table(self.candidates))
            if not self.candidates[0].agrees_well:
                lines.append(
                    "none agrees well: its frames may be prepared otherwise, or the driver was "
                    "another"
                )
        if self.model:
            drive = shown_command("drive", self.model, "run1")
            lines.append(f"its frames are prepared as {self.preprocessing}")
            lines.append(f"{self.model}: written; next: {drive}")
        else:
            best = self.candidates[0]
            line = (
                f"next: the same with -o model.h5 --preprocess '{best.preprocess}', or another of "
                "these"
            )
            if not best.agrees_well:
                line += "; then see which one drives: bcclone evaluate model.h5"
            lines.append(line)
        return "\n".join(lines)


def import_model(
    settings: ImportModelSettings, notify: Callable[[str], None] = lambda line: None
) -> ImportModelResult:
    """Rebuild the network of a model file, without running code in it, and write a model of ours.

    If the settings have a recording, but neither a preprocessing nor an output, nothing is written.
    Raises UserError when the file cannot be imported, when its preprocessing is missing, wrong, or
    not certain on the recording, or when the output cannot be written.

    notify: called with lines that describe the network, before its preprocessing is checked
    """
    how = settings.preprocess
    output = settings.output
    if output is None and (how or not settings.recording):
        output = Path("model.h5")
    if output and output.suffix != ".h5":
        raise UserError(f"{output}: a model's name must end in .h5; name another -o")
    with writing(output, MODEL, settings.force, inputs_of(settings)):
        model = _open(settings)
        for line in model.describe():
            notify(line)
        candidates: tuple[Candidate, ...] = ()
        if settings.recording:
            candidates = find_preprocessing(model, settings.recording, how, notify)
        if candidates and output and not how:
            how = clear_winner(candidates)
        preprocessing = _write(model, how, output) if output else None
    written = str(output) if output else None
    return ImportModelResult(written, model.rebuilt, preprocessing, candidates)


def _open(settings: ImportModelSettings) -> "ForeignModel":
    """Return the model to import; raises UserError."""
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    from bcclone.dataset.preprocessing_text import scaling_of_text
    from bcclone.model.model_file import ModelFile, open_model

    rescale = scaling_of_text(settings.rescale) if settings.rescale else None
    loaded = open_model(settings.old, settings.preprocess, rescale)
    if isinstance(loaded, ModelFile):
        raise UserError(f"{settings.old} is a bcclone model already; copy the file instead")
    return loaded


def _write(model: "ForeignModel", how: str | None, output: Path) -> str:
    """Write the model with a preprocessing, and return the preprocessing's text.

    Raises UserError.

    how: text of the preprocessing; None for a pilot of donkeycar, whose preprocessing is known
    """
    from bcclone.model.model_file import save_model

    network, preprocessing, training = model.declared(how)
    save_model(output, network, preprocessing, {"imported": training.imported})
    return preprocessing.describe()
