"""Export a model: write it in a format of other programs, and compare that file with the model before it is kept."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bcclone.lab.export_model.costs import Costs, costs_of
from bcclone.lab.export_model.export_settings import (
    DONKEYCAR,
    FORMATS,
    INT8,
    LITERT,
    ONNX,
    SAVED_MODEL,
    TFLITE,
    TOLERANCE,
    ExportModelSettings,
)
from bcclone.model.onnx_model import load_onnxruntime
from bcclone.system import atomic
from bcclone.system.errors import UserError, require_package

_FRAMES = 20
_SAVED_MODEL_FILE = "saved_model.pb"
_WRITERS = {ONNX: "tf2onnx", LITERT: "ai_edge_litert.interpreter"}  # each in the extra of its format's name


@dataclass(frozen=True)
class ExportModelResult:
    """An exported model.

    output: the file or folder written; to: its format; megabytes: its size; inputs, outputs: the shape of each by its
    name, without the number of drives; preprocessing: description of how it prepares the frames; frames: number of
    frames in the comparison with the model; greatest_difference: of all outputs on them; mean_difference: of the worst
    output; unreadable: pictures of --calibrate that could not be read; milliseconds: median time of an answer on this
    machine, on one core; throttle: where that of a donkeycar comes from, in words, else ""; costs: of a LiteRT file,
    else None.
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
    mean_difference: float
    unreadable: int
    milliseconds: float
    throttle: str
    costs: Costs | None

    def as_text(self) -> str:
        """Return the shapes of inputs and outputs, how the file answers, what that costs, and where it can run."""
        lines = [
            f"{'input' if name in self.inputs else 'output'} {name}: {' x '.join(map(str, shape))}"
            for name, shape in (self.inputs | self.outputs).items()
        ]
        lines += [f"throttle: {self.throttle}"] if self.throttle else []
        difference = f"a difference of at most {self.greatest_difference:.1e}"
        if self.mean_difference > TOLERANCE:
            difference = f"a mean difference of {self.mean_difference:.4f}, at most {self.greatest_difference:.3f}"
        unread = f", {self.unreadable} could not be read" if self.unreadable else ""
        runtime = ", without XNNPACK, as donkeycar runs it" if self.to == DONKEYCAR else ""
        lines += [
            f"{self.output}: written, {self.megabytes:g} MB; it answers as {self.model} does, with {difference}, "
            f"on {self.frames} frames{unread}",
            f"{self.milliseconds:.2f} ms for a frame, the median on one core of this machine{runtime}",
        ]
        if costs := self.costs:
            boards = ", ".join(f"{ms:.0f} ms on a {board}" for board, ms in costs.estimated_ms.items())
            lines += [
                f"{costs.multiply_adds / 1e6:.1f} million multiply-adds and {costs.other_operations / 1e6:.1f} million "
                f"other operations; an estimate from these counts, not measured: {boards}",
                f"oldest runtime by its operations: TensorFlow Lite {costs.oldest_runtime or 'unknown'}",
            ]
        if self.to == DONKEYCAR:
            name = Path(self.output).name
            lines.append(f"next, on the car: python manage.py drive --model models/{name} --type tflite_linear")
        return "\n".join(lines)


def export_model(settings: ExportModelSettings, notify: Callable[[str], None] = lambda line: None) -> ExportModelResult:
    """Write a model with the preparation of its frames in another format, completely or not at all.

    notify: called with a line for each step. Raises UserError when a package is missing, when the model cannot be
    loaded or has layers that the format lacks, when the pictures to calibrate with cannot be read, when the output
    cannot be written, and when the written file computes something else than the model.
    """
    _check_packages(settings.to)
    _check_output(settings)
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow(threads=1)  # as the runtimes that the model is compared in
    from bcclone.lab.export_model.comparison import check_answers, median_ms, read_pictures
    from bcclone.lab.export_model.donkeycar import describe_throttle, donkeycar_interface
    from bcclone.lab.export_model.exported_files import write_exported
    from bcclone.lab.export_model.interface import frame_interface
    from bcclone.model.model_file import load_model_file

    file, output = load_model_file(settings.model, settings.preprocess), settings.path
    interface = donkeycar_interface(file, settings) if settings.to == DONKEYCAR else frame_interface(file)
    if settings.quantize == INT8 and list(interface.inputs.values()) != [(*interface.camera[::-1], 3)]:
        raise UserError(f"{settings.model}: it sees several frames; --quantize int8 takes networks of single frames; "
                        "use --quantize float16")  # fmt: skip
    pictures = read_pictures(settings.calibrate, interface.camera) if settings.calibrate else None
    frames = pictures.comparing if pictures else interface.noise(_FRAMES)
    with (
        atomic.replacing_folder(output) if settings.to == SAVED_MODEL else atomic.replacing(output, follow=True) as new
    ):
        notify(f"{settings.model}: writing it as {settings.to}, with {file.preprocessing.describe()} inside")
        calibration = interface.inputs_of(pictures.calibrating) if pictures else ()
        write_exported(new, settings, file, interface, calibration)
        notify(f"comparing its answers with the model's on {len(frames)} frames{'' if pictures else ' of noise'}")
        found = check_answers(new, settings, interface, frames)
        milliseconds = median_ms(new, settings.to, interface, frames[:_FRAMES])
        size = sum(each.stat().st_size for each in (new, *new.rglob("*")) if each.is_file())
        costs = costs_of(new.read_bytes()) if settings.to in TFLITE else None
    return ExportModelResult(
        model=str(settings.model),
        output=str(output),
        to=settings.to,
        megabytes=round(size / 1e6, 3),
        inputs=dict(interface.inputs),
        outputs=dict(interface.outputs),
        preprocessing=file.preprocessing.describe(),
        frames=len(frames),
        greatest_difference=found.greatest,
        mean_difference=found.mean,
        unreadable=pictures.unreadable if pictures else 0,
        milliseconds=round(milliseconds, 3),
        throttle=describe_throttle(settings, len(file.outputs)) if settings.to == DONKEYCAR else "",
        costs=costs,
    )


def _check_packages(kind: str) -> None:
    if kind == ONNX:
        load_onnxruntime()
    extra = LITERT if kind in TFLITE else kind
    if extra in _WRITERS:
        require_package(_WRITERS[extra], f"--to {kind}", f"bcclone[{extra}]")


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
    return f"end in {ending}" if ending else "not end in .h5 or .keras"
