"""What comes next: a table of what a command made, and of the commands to run then.

In: what a command made. Out: lines to print, such as "next: bcclone model data.h5 -o model.h5", and
the commands of a report. What decides is which camera a recording or a store is of, to which car a
model is fitted, and who steered a drive.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bcclone.camera.framing import FRAMING_NAME, framing_of
from bcclone.commands import split_line
from bcclone.model.model_path import is_litert, is_onnx, shipped_model
from bcclone.pictures.settings import ClipSettings
from bcclone.recording.origin import Origin, origin_of
from bcclone.recording.run_tables import MOTION, read_drivers
from bcclone.simulator.world_settings import Conditions
from bcclone.system.errors import UserError, command_line, printable, shown_command, typed
from bcclone.system.location import Location, free_name
from bcclone.system.settings import option_words
from bcclone.system.values import part_of

if TYPE_CHECKING:  # they load pandas, OpenCV or Keras
    from bcclone.dataset.conversion import Conversion
    from bcclone.diagnosis.check import RecordingReport
    from bcclone.evaluation.replay import Replayed
    from bcclone.evaluation.settings import EvaluateSettings
    from bcclone.evaluation.suite import SuiteResult
    from bcclone.exchange.exchange_settings import ImportSettings
    from bcclone.exchange.recording_import import ImportResult
    from bcclone.realcar.calibrate import CalibrationResult
    from bcclone.realcar.calibrate_settings import CalibrateSettings
    from bcclone.realcar.export import ExportModelResult
    from bcclone.training.result import TrainResult

# what was made -> the lines to print. A word in braces stands for one word or several, and
# {new=NAME} for NAME, or where that exists for the next free name like it. A report shows the
# commands by their comments; lines that stand in a report alone have no label
_NEXT = {
    # a recording
    "recording": ("next: bcclone preprocess {recording} --check",),
    "recording of a car, not framed yet": (
        "next: bcclone calibrate {any_camera} {recording} -o {new=car.h5}",
        "or:   bcclone preprocess {recording} --check  # to train without any-camera.h5",
    ),
    "recording of a film": (
        "next: bcclone edit {recording}  # look at the path; Ctrl-C ends the page",
        "then: bcclone preprocess {recordings} -o {new=data.h5} --size 64",
    ),
    "drive of a model": ("next: bcclone video {recording} --overlay {clip}",),
    "evaluated drive": (
        "next: bcclone video {recording} --overlay --model {model} {clip}"
        "  # with the pixels that decide its steering",
    ),
    "drive with take-overs": ("next: bcclone improve {model} {recording} -o {new=better.h5}",),
    # a recording that was checked
    "good recording": ("next: bcclone preprocess {recordings} -o {new=data.h5}",),
    "good recording of a car, not framed yet": (
        "next: bcclone calibrate {any_camera} {recording} -o {new=car.h5}",
        "or:   bcclone preprocess {recordings} -o {new=data.h5}  # to train without any-camera.h5",
    ),
    "good recording of a framed car": (
        "next: bcclone preprocess {recordings} -o {new=data.h5} --size 64",
    ),
    "recording with faults": (
        "next: bcclone edit {faulty}  # repair the faults above; Ctrl-C ends the page",
        "then: bcclone preprocess {recordings} --check",
    ),
    # a store
    "store": ("next: bcclone model {store} -o {new=model.h5}",),
    "store with take-overs": (
        "next: bcclone model {store} -o {new=better.h5} --from MODEL  # the one that drove",
        # a recording does not say which model drove
        "or:   bcclone model {store} -o {new=model.h5}"
        "  # if that was ONNX or LiteRT, or of other images",
    ),
    "store of a short drive": (
        "next: bcclone model {store} -o {new=model.h5} --from {any_road} --epochs {epochs}",
    ),
    "store of a calibrated camera": (
        "next: bcclone model {store} -o {new=pilot.h5} --from {calibrated} --epochs 10",
    ),
    "store of another camera": (
        "next: bcclone model {store} -o {new=pilot.h5} --from {any_camera} --epochs 6",
    ),
    # a model
    "model": (
        "next: bcclone evaluate {model} -o {new=score} {preprocess}",
        "or:   bcclone drive {model} {new=run1} {preprocess}  # in Udacity's simulator",
    ),
    "model of a donkeycar": (
        "next: bcclone replay {model} {recording}  # score it; another drive says more",
        "then: bcclone export {model} --to donkeycar {exported} --quantize int8"
        " --calibrate {source}  # write it for your car",
    ),
    "model of a car": (
        "next: bcclone replay {model} {recording}  # score it; another drive says more",
        "then: bcclone export {model} --to litert {exported}  # write it for your car",
    ),
    "several replayed models": (),  # a person chooses one
    "replayed model that does not read the place": (
        "next: bcclone preprocess {recording} --check  # check it, to train on this place",
    ),
    "replayed file of a car": (),  # an ONNX or LiteRT file is written already
    "replayed model of a donkeycar": (
        "next: bcclone export {model} --to donkeycar {exported} --quantize int8"
        " --calibrate {source} {preprocess}  # write it for your car",
    ),
    "replayed model of a car": (
        "next: bcclone export {model} --to litert {exported} {preprocess}  # write it for your car",
    ),
    "improved model": ("next: bcclone play {model} -o {new=drive2}",),
    "calibrated model": ("next: bcclone import {source} -o {output} {options}",),
    "edited again": (
        "then: bcclone edit {output} {edit}  # if it has {rows} rows, as {recording}",
    ),
    "file for donkeycar": (
        "next, on the car: python manage.py drive --model {copied} --type tflite_linear",
    ),
    # a report
    "report on a model": (
        "bcclone evaluate {model} -o {new=score} {preprocess}  # score it by a simulated lap",
        "bcclone drive {model} {new=run1} {preprocess}  # let it drive the Udacity simulator",
        "bcclone video {new=run1} --overlay  # make a clip of that drive",
        "bcclone play {model} {preprocess}  # drive with it in the browser, and take over",
        "bcclone suite {model} -o {new=suite} {preprocess}  # score it in 20 other conditions",
        "bcclone replay {model} RECORDING {preprocess}  # score it on a recording of yours",
    ),
    "report on a model that leaves the road": (
        "bcclone play {model} --road {road} {changed} {preprocess}  # take over where it "
        "leaves the road, to train it on that",
    ),
}


def _lines(made: str, **values: object) -> str:
    """Return the lines of the table for what was made; values: what its words in braces are."""
    lines = []
    for line in _NEXT[made]:
        label, command, comment = _filled(line, values)
        lines.append(f"{label}{command}{comment and f'  # {comment}'}")
    return "\n".join(lines)


def _commands(
    made: str, values: Mapping[str, object], without: Sequence[str] = ()
) -> dict[str, str]:
    """Return the commands of the table for what was made, by what they do.

    values: what the words in braces are
    without: names of commands that are left out
    """
    commands = {}
    for line in _NEXT[made]:
        if _template(line)[1] in without:
            continue
        _, command, comment = _filled(line, values)
        commands[comment[0].upper() + comment[1:]] = command
    return commands


def _template(line: str) -> tuple[str, str, list[str], str]:
    """Return a line's label with the spaces after it, the name of its command of bcclone, the
    words after the name, and its comment or "". For a command of another program, the name is "".
    """
    template, _, comment = line.partition("  # ")
    label, colon, rest = template.rpartition(":")
    gap = " " * (len(rest) - len(rest.lstrip()))
    program, *words = rest.split()
    if program != "bcclone":
        return f"{label}{colon}{gap}", "", [program, *words], comment
    name, others = split_line(words)
    return f"{label}{colon}{gap}", name, list(others), comment


def _filled(line: str, values: Mapping[str, object]) -> tuple[str, str, str]:
    """Return a line's label with the spaces after it, its command, and its comment or ""."""
    label, name, template, comment = _template(line)
    words: list[object] = []
    for word in template:
        value: object = word
        if word.startswith("{new="):
            value = free_name(word[5:-1])
        elif word.startswith("{"):
            value = values[word[1:-1]]
        words += value if isinstance(value, (list, tuple)) else [value]
    command = shown_command(name, *words) if name else command_line(map(typed, words))
    # a name with a newline would end the comment, and its rest be a command
    told = {key: printable(str(value), kept="") for key, value in values.items()}
    return label, command, comment.format_map(told)


# ---- recordings


def after_recording(folder: Path) -> str:
    return _lines("recording", recording=folder)


def after_drive(folder: Path, model: Path) -> str:
    """Return what comes after a recorded drive of a model, in which a person may have steered."""
    took_over = any(driven.take_over for driven in read_drivers(folder).values())
    made = "drive with take-overs" if took_over and _is_of_keras(model) else "drive of a model"
    return _lines(made, recording=folder, model=model, clip=_clip_of(folder))


def after_import(result: "ImportResult", settings: "ImportSettings") -> str:
    recording = result.output if result.recordings == 1 else result.output / "1"
    if settings.steering:
        return _lines("recording of a film", recording=recording, recordings=result.output)
    if (recording / FRAMING_NAME).exists() and not settings.framing:
        return _lines(
            "recording of a car, not framed yet",
            recording=recording,
            any_camera=_shown(shipped_model("any-camera.h5")),
        )
    return after_recording(result.output)


def after_check(inputs: Sequence[str], reports: Sequence["RecordingReport"]) -> str:
    """Return what comes after a check; "" where the faults have to be mended at their cause."""
    from bcclone.diagnosis.evidence import recording_name

    logs = [report.path for report in reports]
    found = [report.diagnosis for report in reports if report.diagnosis]
    faulty = [
        recording_name(report.path)
        for report in reports
        if report.diagnosis and any(finding.edits for finding in report.diagnosis.findings)
    ]
    recordings = list(inputs)
    if faulty:
        return _lines("recording with faults", faulty=_shown(faulty[0]), recordings=recordings)
    has_faults = any(diagnosis.findings for diagnosis in found)
    if not found or (has_faults and not any(each.usable_seconds for each in found)):
        return ""
    made, values = _good(recordings, logs)
    return _lines(made, **values)


def after_editing(recording: str, log: Location) -> str:
    """Return the command that comes first after a recording in which the editor finds no fault."""
    made, values = _good([recording], [log])
    _, command, _ = _filled(_NEXT[made][0], values)
    return command


def _good(recordings: Sequence[str], logs: Sequence[Location]) -> tuple[str, dict[str, object]]:
    """Return what recordings are in _NEXT that can be used as they are, and the values there."""
    values: dict[str, object] = {"recordings": recordings}
    if any(map(_is_framed, logs)):
        return "good recording of a framed car", values
    for log in filter(framing_of, logs):
        values |= {
            "any_camera": _shown(shipped_model("any-camera.h5")),
            "recording": _shown(log.parent),
        }
        return "good recording of a car, not framed yet", values
    return "good recording", values


# ---- stores and models

_SHORT_SECONDS = 120.0  # of driving; docs/how-to/roads.md, Train on a short recording
_SAMPLES_TO_FINE_TUNE = 47_000  # samples of a short training, over all epochs


def after_preprocess(made: "Conversion") -> str:
    any_camera = shipped_model("any-camera.h5")
    any_road = shipped_model("any-road.h5")
    if made.has_take_overs:
        return _lines("store with take-overs", store=made.output)
    for recording in made.sources:
        calibrated = _calibrated_model(origin_of(recording.path))
        if calibrated and _suits(calibrated, made):
            return _lines(
                "store of a calibrated camera", store=made.output, calibrated=_shown(calibrated)
            )
    is_framed = any(_is_framed(recording.path) for recording in made.sources)
    if is_framed and _suits(any_camera, made):
        shown = _shown(any_camera)
        return _lines("store of another camera", store=made.output, any_camera=shown)
    is_short = 0 < made.driven_seconds <= _SHORT_SECONDS
    if is_short and not is_framed and _suits(any_road, made):
        epochs = min(max(round(_SAMPLES_TO_FINE_TUNE / max(made.train, 1)), 1), 40)
        shown = _shown(any_road)
        return _lines(
            "store of a short drive", store=made.output, any_road=shown, epochs=str(epochs)
        )
    return _lines("store", store=made.output)


def after_training(result: "TrainResult") -> str:
    """Return what comes after a training: a car's model is exported, another drives here."""
    made, values = _trained(result)
    return _lines(made, **values)


def _trained(result: "TrainResult") -> tuple[str, dict[str, object]]:
    """Return what a training made, and what its words in braces are."""
    model = Path(result.model)
    of_cars = [recording.path for recording in result.recordings if recording.framing]
    if not of_cars:
        return "model", {"model": model, "preprocess": ()}
    return _of_a_car("model", of_cars[0], model, recording=_shown(of_cars[0].parent))


def after_replay(recording: str, replayed: "Replayed", preprocess: str | None = None) -> str:
    """Return what comes after a replay: a place that the model does not read is trained on."""
    made, values = _replayed(recording, replayed, preprocess)
    return _lines(made, **values)


def _replayed(
    recording: str, replayed: "Replayed", preprocess: str | None
) -> tuple[str, dict[str, object]]:
    """Return what a replay was of, and what its words in braces are."""
    from bcclone.recording.files import find_log

    model, *others = map(Path, replayed.results)
    values = {"model": model, "preprocess": _options(preprocess)}
    log = find_log(recording)
    if others:
        return "several replayed models", values
    if not replayed.reads_place(str(model)):
        return "replayed model that does not read the place", {"recording": Path(recording)}
    if framing_of(log) is None:
        return "model", values
    if not _is_of_keras(model):
        return "replayed file of a car", values
    return _of_a_car("replayed model", log, model, preprocess=values["preprocess"])


def after_model(model: Path) -> str:
    """Return what comes after a model that drives in the simulator."""
    return _lines("model", model=model, preprocess=())


def after_improvement(model: Path) -> str:
    return _lines("improved model", model=model)


def after_evaluation(folder: Path, model: Path) -> str:
    """Return what comes after a drive whose clip is made already; "" where a clip shows no more.

    folder: of the recorded drive
    """
    if not _is_of_keras(model):
        return ""
    return _lines("evaluated drive", recording=folder, model=model, clip=_clip_of(folder))


def after_calibration(result: "CalibrationResult", settings: "CalibrateSettings") -> str:
    """Return the commands that import what was calibrated on, with the framing that was found.

    A recording is imported again from its source, with the options of its first import, and then
    edited again.
    """
    from bcclone.commands.edits_of_import import edited_of_import, turn_edited
    from bcclone.diagnosis.evidence import recording_name
    from bcclone.recording.files import find_log, is_recording

    is_left_positive = bool(settings.left_positive) != result.mirrored
    if not is_recording(settings.frames):  # a tub, which holds its edits itself
        framed = Path(free_name(Path("recordings") / settings.frames.resolve().name))
        return _import_again(result, framed, str(settings.frames), {}, is_left_positive)
    log = Path(str(find_log(str(settings.frames)))).resolve()
    origin = origin_of(log)
    edited = edited_of_import(log, origin)
    if is_left_positive:
        is_left_positive = turn_edited(edited, log, origin)
    imported = log.parent.parent if len(edited) > 1 else log.parent
    framed = Path(free_name(Path("recordings") / f"{imported.name}-framed"))
    source = str(_shown(origin.source)) if origin else "SOURCE"
    options = origin.options if origin else {}
    # the recording's steering is that of its source with the first import's sign
    is_left_positive ^= bool(options.get("left_positive"))
    lines = [_import_again(result, framed, source, options, is_left_positive)]
    for one in edited:
        recording = _shown(recording_name(one.log))
        output = framed / one.name
        for edit in one.edits:
            values = {"output": output, "edit": edit.options(), "recording": recording}
            lines.append(_lines("edited again", rows=one.rows, **values))
        if one.is_lost:
            lines.append(
                f"careful: make the other edits of {recording} again by hand, since its rows may "
                f"have other numbers in {output}; see them with: "
                f"{shown_command('edit', recording)}"
            )
    return "\n".join(lines)


def _import_again(
    result: "CalibrationResult",
    output: Path,
    source: str,
    options: Mapping[str, object],
    is_left_positive: bool,
) -> str:
    """Return the line that imports a source with the framing that was found.

    output: the recording to write
    options: of its first import
    """
    from bcclone.exchange.exchange_settings import ImportSettings
    from bcclone.system.settings import option_words
    from bcclone.system.values import from_json

    given = {
        **options,
        "source": source,
        "framing": str(result.framing_file),
    }
    if is_left_positive or "left_positive" in options:
        given["left_positive"] = is_left_positive
    try:
        words = option_words(from_json(ImportSettings, given))
    except (ValueError, UserError):  # of a file that another version wrote
        words = option_words(ImportSettings(Path("SOURCE"), framing=result.framing_file))
    options_shown = [_shown(word) if Path(word).is_absolute() else word for word in words]
    return _lines("calibrated model", source=source, output=output, options=options_shown)


def after_export(result: "ExportModelResult") -> str:
    from bcclone.realcar.export_settings import DONKEYCAR

    if result.to != DONKEYCAR:
        return ""
    return _lines("file for donkeycar", copied=f"models/{Path(result.output).name}")


# ---- the commands of a report, each by what it does


def training_commands(result: "TrainResult") -> dict[str, str]:
    return _offered(*_trained(result))


def suite_commands(result: "SuiteResult", preprocess: str | None) -> dict[str, str]:
    """Return the commands for the best model; the first one mends where it left the road."""
    values = {"model": result.models[result.best], "preprocess": _options(preprocess)}
    commands = _offered("model", values, "suite")
    hardest = result.hardest([result.best])
    if hardest and _is_of_keras(result.models[result.best]):
        driven = hardest[0].settings
        changed = option_words(part_of(driven, Conditions))
        if driven.reverse:
            changed.append("--reverse")
        where = {"road": driven.track, "changed": changed}
        return _commands("report on a model that leaves the road", where | values) | commands
    return commands


def drive_commands(model: Path, settings: "EvaluateSettings") -> dict[str, str]:
    values = {"model": model, "preprocess": _options(settings.preprocess)}
    return _offered("model", values, "evaluate")


def replay_commands(
    recording: str, replayed: "Replayed", preprocess: str | None = None
) -> dict[str, str]:
    return _offered(*_replayed(recording, replayed, preprocess), "replay")


def _offered(made: str, values: Mapping[str, object], *without: str) -> dict[str, str]:
    """Return the commands of a report, without those of these names: what was just run."""
    return _commands("report on a model" if made == "model" else made, values, without)


def _clip_of(recording: Path) -> list[str]:
    """Return the option of `bcclone video` that names another clip than an existing one."""
    return _unless_free(ClipSettings(recording).path)


def _unless_free(output: Path) -> list[str]:
    """Return no option if a command's usual output is free, else one that names another."""
    return ["-o", free_name(output)] if output.exists() else []


def _options(preprocess: str | None) -> list[str]:
    return ["--preprocess", preprocess] if preprocess else []


# ---- what was made


def _of_a_car(
    made: str, log: Location, model: Path, **values: object
) -> tuple[str, dict[str, object]]:
    """Return what was made for a car; a donkeycar's recording was imported from a tub."""
    from bcclone.realcar.export_settings import LITERT, ExportModelSettings

    exported = ExportModelSettings(model, LITERT).path  # donkeycar's has the same name
    values |= {"model": model, "exported": _unless_free(exported)}
    origin = origin_of(log)
    if origin and origin.format == "tub" and not MOTION.is_in(log.parent):
        return f"{made} of a donkeycar", values | {"source": _shown(origin.source)}
    return f"{made} of a car", values


def _suits(model: Path, made: "Conversion") -> bool:
    """Return whether a training on a store may begin with a model: its images, and its camera."""
    from bcclone.dataset.store import common_framing
    from bcclone.model.model_file import stated_frames

    images, framing = stated_frames(model)
    return images == made.preprocessing and framing in (None, common_framing(made.sources))


def _is_of_keras(model: Path) -> bool:
    """Return whether improve can train a model, and export write it."""
    return not (is_onnx(model) or is_litert(model))


def _is_framed(log: Location) -> bool:
    """Return whether the frames of a recording were cut from the pictures of another camera."""
    origin = origin_of(log)
    if MOTION.is_in(log.parent) or (origin and origin.framing):
        return True
    framing = framing_of(log)
    return framing is not None and framing.cuts


def _calibrated_model(origin: Origin | None) -> Path | None:
    """Return the model with whose framing a recording was imported: OUTPUT.h5 of calibrate."""
    if origin is None or origin.framing is None:
        return None
    stem = origin.framing.name.removesuffix(f".{FRAMING_NAME}")
    model = origin.framing.with_name(f"{stem}.h5")
    return model if stem != origin.framing.name and model.is_file() else None


def _shown(path: Location | str) -> object:
    """Return a path as a user types it here: relative if it is below the current folder."""
    try:
        return Path(str(path)).relative_to(Path.cwd())
    except ValueError:
        return path
