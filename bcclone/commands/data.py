"""The command preprocess: recordings -> a store, or with --check their faults."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bcclone.commands.options import Given, Result, SettingsFile, command, notify
from bcclone.dataset.sample_settings import PreprocessSettings, SampleSettings
from bcclone.system.settings import Checked, argument, read_settings_file, setting
from bcclone.system.values import names_of

if TYPE_CHECKING:  # they load pandas, OpenCV and tqdm
    from bcclone.dataset.conversion import Conversion
    from bcclone.system.process import Notify


@dataclass(frozen=True)
class Recordings(Checked):
    """The recordings to convert or to check."""

    recordings: tuple[str, ...] = argument(
        "folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern",
        (),
        unit="RECORDING",
        shown="driving_log.csv, or else the recordings in ./recordings/ or ./data/",
    )
    check: bool = setting(
        False,
        "only inspect the recordings and report their faults, with a remedy for each; exit code 1 "
        "if there are some",
    )


@command(PreprocessSettings, after_interrupt="an existing store is unchanged")
def preprocess(given: Given, chosen: Recordings, file: SettingsFile) -> Result:
    """Turn recordings of the simulator into one HDF5 store for training.

    RECORDING is a folder with a driving_log.csv or other CSV logs, a CSV file, or a pattern such as
    'recordings/*/'. Without it, the command reads driving_log.csv of the current folder, or else
    the recordings in ./recordings/ or ./data/.
    """
    return preprocess_with(PreprocessSettings, _convert, given, chosen, file)


def _convert(settings: PreprocessSettings, notify: "Notify") -> "Conversion":
    from bcclone.dataset.conversion import convert

    return convert(settings, notify)


def preprocess_with(
    kind: type[PreprocessSettings],
    convert: Callable[[Any, "Notify"], "Conversion"],
    given: Given,
    chosen: Recordings,
    file: SettingsFile,
) -> Result:
    """Convert or check the recordings that the user chose.

    kind: the settings that the user may give
    convert: converts recordings by settings of this kind
    """
    # options override the settings file
    values = {}
    if file.settings:
        values = read_settings_file(file.settings, kind)
    values |= given.of(kind)

    # without a RECORDING, take those in the usual places; except where --add only adds recordings
    # of validation or test to a store
    inputs = chosen.recordings
    adds_others = values.get("add") and not {"validation_recordings", "test_recordings"}.isdisjoint(
        values
    )
    if not inputs and (chosen.check or not adds_others):
        from bcclone.recording.files import default_inputs

        inputs = tuple(default_inputs())
        notify(f"no RECORDING named; taking {', '.join(inputs)}")

    if chosen.check:
        given.refuse(
            kind, "changes nothing in --check, which takes recordings as they are; leave it out"
        )
        return _check(inputs)

    explicit = tuple(name for name in names_of(SampleSettings) if name in values)
    result = convert(kind(inputs, explicit=explicit, **values), notify)
    notices = [*result.notices, *_unusable_driving(result)]
    notes = [f"note: {notice}" for notice in notices]
    notes += [f"skipped: {reason}" for reason in result.skips]
    return Result.of(result, notes=notes)


def _unusable_driving(conversion: "Conversion") -> list[str]:
    """Return a notice for each recording that was read of which a check would not use all."""
    from bcclone.dataset.shards import open_store
    from bcclone.diagnosis.stored_drive import unusable_driving

    if not isinstance(conversion.output, Path):  # at a URL, frames are read slowly
        return []
    read = {str(Path(log.path).resolve()) for log in conversion.logs}
    with open_store(conversion.output) as store:
        return list(unusable_driving(store, read))


def _check(inputs: Sequence[str]) -> Result:
    """Report the faults of recordings; the exit code is 1 for faults, 2 for an unreadable log."""
    from bcclone.diagnosis.advice import advise
    from bcclone.diagnosis.check import check

    reports = check(inputs)
    diagnoses = [report.diagnosis for report in reports if report.diagnosis]
    advice = advise([diagnosis.coverage for diagnosis in diagnoses if diagnosis.coverage])
    parts = [report.as_text() for report in reports]
    if advice:
        parts.append("\n  ".join(("what to record next:", *advice)))
    as_json = {"recordings": [report.as_json() for report in reports], "record_next": list(advice)}
    code = 0
    if any(diagnosis.findings for diagnosis in diagnoses):
        code = 1
    if any(report.log is None for report in reports):
        code = 2
    return Result(as_json, "\n\n".join(parts), code=code)
