"""Write a recording, a store or a model in the format of another program.

Recordings and stores become a CSV table, or a data set of donkeycar or LeRobot; rows that `bcclone edit`
has deleted are left out. A model becomes a file for ONNX Runtime, LiteRT, TensorFlow or donkeycar that
takes whole camera frames; the file is written only if it gives the same answers as the model. A failed export writes
nothing.
"""

from collections.abc import Iterator
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.commands.options import Command, Given, Result, describe_unchanged, notify, number_of
from bcclone.lab.exchange.exchange_settings import EXPORT_FORMATS, ExportSettings
from bcclone.lab.export_model.export_settings import DONKEYCAR, FORMATS, ExportModelSettings
from bcclone.system.errors import UserError
from bcclone.system.settings import argument, setting

if TYPE_CHECKING:
    from bcclone.lab.export_model.model_export import ExportModelResult

_SHOWN_SKIPS = 10
_MODEL_SUFFIXES = (".keras", ".onnx", ".tflite")


@dataclass(frozen=True)
class Exported:
    """What is exported, and where to."""

    source: str = argument("folder with recordings, a CSV file, a pattern, a store, or a model")
    to: str = setting(
        MISSING,
        f"format: {', '.join(EXPORT_FORMATS)} for recordings and stores, {', '.join(FORMATS)} for models",
        choices=(*EXPORT_FORMATS, *FORMATS),
    )
    output: Path | None = setting(
        None, "file or folder to write", shown=f"{ExportSettings.output}, or named like the model"
    )


COMMAND = Command(
    "write recordings and models in other programs' formats", (Exported, ExportSettings, ExportModelSettings)
)


def run(given: Given) -> Result:
    """Export."""
    from bcclone.system.file_kinds import kind_of

    chosen = given.make(Exported)
    is_model, source = chosen.to in FORMATS, Path(chosen.source)
    given.refuse(
        ExportSettings if is_model else ExportModelSettings, f"has no effect with --to {chosen.to}; leave it out"
    )
    if is_model and source.is_dir():
        raise UserError(f"{source}: a folder, expected a model file; recordings go --to {next(iter(EXPORT_FORMATS))}")
    if not is_model and (source.suffix in _MODEL_SUFFIXES or kind_of(source) == "model"):
        raise UserError(f"{source}: a model, expected a recording or a store; a model goes --to {' or '.join(FORMATS)}")
    return _export_model(_model_settings(given)) if is_model else _export_rows(given.make(ExportSettings))


def interrupted(given: Given) -> str:
    """Return what Ctrl-C leaves behind."""
    chosen = given.make(Exported)
    is_model = chosen.to in FORMATS
    return describe_unchanged(_model_settings(given).path if is_model else chosen.output or ExportSettings.output)


def _export_rows(settings: ExportSettings) -> Result:
    from bcclone.lab.exchange.recording_export import export

    result = export(settings)
    for line in result.skipped[:_SHOWN_SKIPS]:
        notify(f"left out: {line}")
    return Result(
        result,
        f"{result.output}: {result.format}, {number_of(result.rows, 'row')} in "
        f"{number_of(result.episodes, 'episode')}, cameras {', '.join(result.cameras)}, "
        f"{len(result.skipped)} left out, {result.seconds:.1f} s",
    )


def _export_model(settings: ExportModelSettings) -> Result:
    from bcclone.lab.export_model.model_export import export_model

    result = export_model(settings, notify)
    lines = [
        f"{'input' if name in result.inputs else 'output'} {name}: {' x '.join(map(str, shape))}"
        for name, shape in (result.inputs | result.outputs).items()
    ]
    lines += [f"throttle: {result.throttle}"] if result.throttle else []
    lines += _describe_costs(result)
    name = Path(result.output).name
    then = f"next, on the car: python manage.py drive --model models/{name} --type tflite_linear"
    return Result(result, "\n".join(lines), then=then if result.to == DONKEYCAR else "")


def _describe_costs(result: "ExportModelResult") -> Iterator[str]:
    """Yield how an exported model answers, and what that costs."""
    from bcclone.lab.export_model.comparison import TOLERANCE

    difference = f"a difference of at most {result.greatest_difference:.1e}"
    if result.mean_difference > TOLERANCE:
        difference = f"a mean difference of {result.mean_difference:.4f}, at most {result.greatest_difference:.3f}"
    unread = f", {result.unreadable} could not be read" if result.unreadable else ""
    yield (
        f"{result.output}: written, {result.megabytes:g} MB; it answers as {result.model} does, with {difference}, "
        f"on {result.frames} frames{unread}"
    )
    runtime = ", without XNNPACK, as donkeycar runs it" if result.to == DONKEYCAR else ""
    yield f"{result.milliseconds:.2f} ms for a frame, the median on one core of this machine{runtime}"
    if costs := result.costs:
        boards = ", ".join(f"{ms:.0f} ms on a {board}" for board, ms in costs.estimated_ms.items())
        yield (
            f"{costs.multiply_adds / 1e6:.1f} million multiply-adds and {costs.other_operations / 1e6:.1f} million "
            f"other operations; an estimate from these counts, not measured: {boards}"
        )
        yield f"oldest runtime by its operations: TensorFlow Lite {costs.oldest_runtime or 'unknown'}"


def _model_settings(given: Given) -> ExportModelSettings:
    return given.make(ExportModelSettings, model=Path(given.make(Exported).source))
