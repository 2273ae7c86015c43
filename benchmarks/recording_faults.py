"""Plant faults in recordings and count which of them `preprocess.py --check` names -> a Report.

An untouched recording must have no finding, and a fault must be named, whatever else is found. A
fault is planted in the whole recording or from a row to its end; then two to five faults of 5 to
20 s are planted at once, and the rows that are named are scored.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bcclone import UserError, check
from bcclone.camera.images import read_frame
from bcclone.diagnosis.judging import Diagnosis
from bcclone.recording.files import ImageIndex, find_log
from bcclone.recording.log import read_log
from bcclone.recording.row import CAMERAS
from bcclone.system.arrays import IndexArray, numbers_in
from bcclone.system.progress import Notify
from bcclone.system.settings import Checked, Count, Minutes, Names, Seed, setting
from benchmarks.local_faults import (
    LOCAL_FAULTS,
    LocalScore,
    load_drive,
    plant_some,
    rows_named_by_kind,
    score,
)
from benchmarks.measures import Measure, Report, aligned
from benchmarks.planted_faults import FAULTS, PlantedFault, Recorded, load_recording
from benchmarks.rounds import measure_in_rounds


@dataclass(frozen=True)
class Settings(Checked):
    """How many faults of recordings are named."""

    recordings: Names = setting((), "recordings without faults, separated by commas", shown="none")
    only: Names = setting((), "inject only these faults, separated by commas", shown="all")
    rows: Count = setting(600, "take so many rows of each recording")
    drives: int = setting(
        4, "plant several local faults so many times in each recording", minimum=0, unit="N"
    )
    seed: Seed = 0
    minutes: Minutes = setting(
        0.0, "repeat a recording until it is so long before local faults are planted", shown="as is"
    )


class Outcome(NamedTuple):
    """What --check said of a recording with a fault."""

    fault: str  # and its strength
    is_named: bool
    said: str
    lag_error: float | None  # of a late or early steering, in seconds
    left: float | None  # share of the foreign frames that the remedy leaves in


def measure(settings: Settings, notify: Notify) -> Report:
    """Return how many faults are named.

    Raises UserError for fewer than two recordings, or an unknown fault.
    """
    paths = settings.recordings
    if len(paths) < 2:
        raise UserError(
            "fewer than two recordings; name some that have no faults, with --recordings"
        )
    known = [_name_of(fault) for fault in FAULTS]
    unknown = sorted(set(settings.only) - set(known))
    if unknown:
        raise UserError(f"no fault {', '.join(unknown)}; choose from {', '.join(known)}")
    outcomes: list[Outcome] = []
    alarms: dict[str, list[str]] = {}
    for path, other in zip(paths, (*paths[1:], paths[0]), strict=True):
        recorded = load_recording(path, other, settings.rows)
        false_findings = [finding.fault for finding in recorded.diagnosis.findings]
        if false_findings:
            alarms[recorded.path.name] = false_findings
        outcomes += _plant_all(recorded, settings.only)
        named = sum(outcome.is_named for outcome in outcomes)
        notify(f"{recorded.path.name}: {named} named so far")
    scores = list(_local_scores(settings, notify))
    return _report(settings, outcomes, alarms, scores)


def _local_scores(settings: Settings, notify: Notify) -> Iterator[LocalScore]:
    """Plant several local faults at once in each recording, and score the rows that are named."""
    paths = settings.recordings if settings.drives else ()
    drives = [load_drive(path) for path in paths]
    for number, (path, drive) in enumerate(zip(paths, drives, strict=True)):
        other = drives[(number + 1) % len(drives)]
        if settings.minutes:
            drive = drive.tiled(60 * settings.minutes)
        for turn in range(settings.drives):
            seed = (settings.seed, number, turn)
            scored = score(plant_some(drive, other, seed, tuple(LOCAL_FAULTS)))
            notify(f"{Path(path).name}: {scored.said}")
            yield scored


def _name_of(fault: str) -> str:
    """Return the name of a fault without the unit of its strength."""
    return fault.split(",")[0]


def _plant_all(recorded: Recorded, only: Sequence[str]) -> Iterator[Outcome]:
    """Plant each fault, or only these, in a recording."""
    for name, fault in FAULTS.items():
        is_chosen = not only or _name_of(name) in only
        if is_chosen and fault.can_be_planted(recorded):
            for strength in fault.strengths:
                yield _outcome(recorded, name, fault, strength)


def _outcome(recorded: Recorded, name: str, fault: PlantedFault, strength: float) -> Outcome:
    """Return what --check says of a recording with a fault."""
    changed = fault.inject(recorded, strength)
    diagnosis = changed.diagnosis
    findings = {finding.fault for finding in diagnosis.findings}
    is_mistaken = "mirrored" in findings and "mirrored" not in fault.names
    lag_error = None
    if fault.names <= {"late", "early"}:
        lag_error = _lag_of(diagnosis) - _lag_of(recorded.diagnosis) - strength
    words = ", ".join(sorted(findings)) or "no finding"
    return Outcome(
        fault=f"{name} {strength:g}",
        is_named=bool(findings & fault.names) and not is_mistaken,
        said=f"{recorded.path.name}: {name} {strength:g}: {words}",
        lag_error=lag_error,
        left=_share_left(changed.foreign, diagnosis),
    )


def _lag_of(diagnosis: Diagnosis) -> float:
    lag = diagnosis.figures.get("steering_after_turn_seconds")
    return np.nan if lag is None else lag


def _share_left(foreign: IndexArray, diagnosis: Diagnosis) -> float | None:
    """Return the share of the rows with foreign frames that no finding names; None without such."""
    if not len(foreign):
        return None
    spans = [span for finding in diagnosis.findings for span in finding.rows]
    return float(np.mean(~np.isin(foreign, numbers_in(spans) - 1)))


def _report(
    settings: Settings,
    outcomes: Sequence[Outcome],
    alarms: Mapping[str, list[str]],
    scores: Sequence[LocalScore],
) -> Report:
    counts: dict[str, list[int]] = {}  # of each fault: how often it is named, and planted
    for outcome in outcomes:
        count = counts.setdefault(outcome.fault, [0, 0])
        count[0] += outcome.is_named
        count[1] += 1
    missed = [outcome.said for outcome in outcomes if not outcome.is_named]
    rows = [["injected", "named", "of"]]
    rows += [[fault, str(named), str(planted)] for fault, (named, planted) in counts.items()]
    shares = rows_named_by_kind(scores)
    rows += [[f"local: {kind}", str(named), str(planted)] for kind, (named, planted) in shares]
    values: dict[str, Any] = {
        "recordings": [Path(path).name for path in settings.recordings],
        "named": counts,
        "alarms": dict(alarms),
        "missed": missed,
        "local": [asdict(scored) for scored in scores],
    }
    measures = [*_measures(settings, outcomes, len(alarms)), *_local_measures(scores)]
    return Report(measures, [*aligned(rows), *(f"missed: {line}" for line in missed)], values)


def _measures(settings: Settings, outcomes: Sequence[Outcome], alarms: int) -> list[Measure]:
    lag_within = 0.05  # seconds
    percent = 0.0
    if outcomes:
        percent = 100 * float(np.mean([outcome.is_named for outcome in outcomes]))
    ratio = _check_to_decoding(settings.recordings[0])
    measures = [
        Measure("faults that are named", percent, "%", 95.0),
        Measure("untouched recordings with a finding", alarms, "", 0, least=False),
        Measure("--check to decoding all images once", ratio, "x", 2, least=False),
    ]
    lags = [outcome.lag_error for outcome in outcomes if outcome.lag_error is not None]
    if lags:
        close = 100 * float(np.mean(np.abs(lags) <= lag_within))
        name = f"lags that are within {1000 * lag_within:.0f} ms"
        measures.append(Measure(name, close, "%", 90))
    left = [outcome.left for outcome in outcomes if outcome.left is not None]
    if left:
        remain = 100 * float(np.mean(left))
        measures.append(Measure("foreign frames that remain", remain, "%", 5, least=False))
    return measures


def _local_measures(scores: Sequence[LocalScore]) -> list[Measure]:
    """Return how well the rows of local faults are named, over all drives."""
    if not scores:
        return []
    bad = sum(scored.bad for scored in scores)
    named = sum(scored.named for scored in scores)
    named_bad = sum(scored.named_bad for scored in scores)
    good = sum(scored.good for scored in scores)
    good_lost = sum(scored.good_lost for scored in scores)
    bad_left = sum(scored.bad_left for scored in scores)
    return [
        Measure("rows of local faults that are named", 100 * named_bad / bad, "%", 90),
        Measure("named rows that have a fault", 100 * named_bad / max(named, 1), "%", 90),
        Measure("good rows lost by all remedies", 100 * good_lost / good, "%", 3, least=False),
        Measure("faulty rows left by all remedies", 100 * bad_left / bad, "%"),
    ]


def _check_to_decoding(path: str) -> float:
    """Return the time of a check, divided by that of decoding the same images.

    Each is the better of three turns.
    """
    log = read_log(find_log(path))
    index = ImageIndex(log.path)
    images = chain.from_iterable(log.rows[camera] for camera in CAMERAS)
    found_files = map(index.find, images)
    files = [file for file in found_files if file]

    def cpu_seconds(work: Callable[[], object]) -> float:
        since = time.process_time()
        work()
        return time.process_time() - since

    works: dict[str, Callable[[], object]] = {
        "check": lambda: check([path]),
        "decode": lambda: [read_frame(file) for file in files],
    }
    times = measure_in_rounds({name: partial(cpu_seconds, work) for name, work in works.items()}, 3)
    return min(times["check"]) / min(times["decode"])
