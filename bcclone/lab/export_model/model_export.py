"""Export a model: write it in a format of other programs, and compare that file with the model before it is kept."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.lab.export_model.export_settings import FORMATS, LITERT, ONNX, SAVED_MODEL, ExportModelSettings
from bcclone.lab.export_model.runtimes import litert_interpreter, load_tf2onnx, open_exported
from bcclone.model.onnx_model import Signature, load_onnxruntime
from bcclone.system import atomic
from bcclone.system.errors import UserError

if TYPE_CHECKING:
    from bcclone.dataset.images import Image
    from bcclone.model.model_file import ModelFile

TOLERANCE = 1e-5  # of the steering, which is -1 to 1
_FRAMES = 20
_SAVED_MODEL_FILE = "saved_model.pb"


@dataclass(frozen=True)
class ExportModelResult:
    """An exported model.

    output: the file or folder written; to: its format; megabytes: its size; inputs, outputs: the shape of each by its
    name, without the number of drives; preprocessing: description of how it prepares the frames; frames: the number of
    frames on which it was compared with the model; greatest_difference: of all outputs on them.
    """

    model: str
    output: str
    to: str
    megabytes: float
    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]
    preprocessing: str
    frames: int
    greatest_difference: float

    def as_json(self) -> dict[str, Any]:
        """Return the values that `--json` prints."""
        return asdict(self)


def export_model(settings: ExportModelSettings, notify: Callable[[str], None] = lambda line: None) -> ExportModelResult:
    """Write a model with the preparation of its frames in another format, completely or not at all.

    notify: called with a line for each step. Raises UserError when a package is missing, when the model cannot be
    loaded or has layers that the format lacks, when the output cannot be written, and when the written file computes
    something else than the model.
    """
    _check_packages(settings.to)
    _check_output(settings)
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as the runtimes that the model is compared in
    from bcclone.lab.export_model.comparison import noise_frames
    from bcclone.lab.export_model.exported_files import write_exported
    from bcclone.model.model_file import load_model_file

    file = load_model_file(settings.model, settings.preprocess)
    signature, output = signature_of(file), settings.path
    with atomic.replacing_folder(output) if settings.to == SAVED_MODEL else atomic.replacing(output) as new:
        notify(f"{settings.model}: writing it as {settings.to}, with {file.preprocessing.describe()} inside")
        write_exported(new, settings.to, file, signature)
        notify(f"comparing its answers with those of the model on {_FRAMES} frames of noise")
        difference = _checked_difference(new, settings, file, noise_frames(_FRAMES, signature))
        size = sum(each.stat().st_size for each in (new, *new.rglob("*")) if each.is_file())
    return ExportModelResult(
        model=str(settings.model),
        output=str(output),
        to=settings.to,
        megabytes=round(size / 1e6, 3),
        inputs=signature.inputs,
        outputs=signature.outputs,
        preprocessing=file.preprocessing.describe(),
        frames=_FRAMES,
        greatest_difference=difference,
    )


def signature_of(file: "ModelFile") -> Signature:
    """Return the inputs and outputs that a model has when it is exported."""
    from bcclone.model.recurrent import steps_of

    steps = steps_of(file.model)
    frame = (file.preprocessing.frame_height, file.preprocessing.frame_width)
    return Signature(file.seq_length, steps.state_sizes if steps else (), frame, file.outputs)


def difference_of(path: Path, kind: str, file: "ModelFile", frames: "Sequence[Image]") -> float:
    """Return the greatest difference between the answers of an exported file and those of its model on these frames."""
    from bcclone.lab.export_model.comparison import greatest_difference, inputs_of, own_run

    return greatest_difference(own_run(file), open_exported(path, kind), inputs_of(signature_of(file), frames))


def _checked_difference(
    new: Path, settings: ExportModelSettings, file: "ModelFile", frames: "Sequence[Image]"
) -> float:
    """Return the difference of the answers; raises UserError for a file that cannot be run, or answers otherwise."""
    remedy = "export it with another --to, and report this"
    try:
        difference = difference_of(new, settings.to, file, frames)
    except Exception as error:  # of the runtime; for example, tf2onnx writes an UpSampling2D that cannot be run
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{settings.path}: not written, because it cannot be run: {reason[:200]}; {remedy}") from None
    if not difference <= TOLERANCE:
        raise UserError(
            f"{settings.path}: not written, because its answers differ by {difference:.2g} from those of "
            f"{settings.model}, more than {TOLERANCE:g}; {remedy}"
        )
    return difference


def _check_packages(kind: str) -> None:
    """Raise UserError when a package is missing that writes a format, or runs it for the comparison."""
    if kind == ONNX:
        load_tf2onnx()
        load_onnxruntime()
    elif kind == LITERT:
        litert_interpreter()


def _check_output(settings: ExportModelSettings) -> None:
    output, ending = settings.path, FORMATS[settings.to][0]
    if output.suffix != ending and (ending or output.suffix in (".h5", ".keras")):
        raise UserError(f"{output}: the name of a {settings.to} export must {_named(ending)}; name another -o")
    if settings.to == SAVED_MODEL and output.is_dir():
        if not (output / _SAVED_MODEL_FILE).is_file():
            raise UserError(f"{output} is a folder, but not a SavedModel; name another -o")
        if not settings.force:
            raise UserError(f"{output} exists already; {atomic.REMEDY}")
    else:
        atomic.check_output(output, settings.force and settings.to != SAVED_MODEL)


def _named(ending: str) -> str:
    return f"end in {ending}" if ending else "be that of a folder"
