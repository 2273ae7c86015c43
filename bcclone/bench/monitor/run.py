"""Run the benchmark of monitors: record, train, drive, fit, score and report, one seed after the other."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from bcclone.arrays import FloatArray
from bcclone.bench.monitor.scoring import fit_all, measure_latency, read_scores, score_drives
from bcclone.bench.monitor.windows import (
    REACTION_SECONDS,
    Detection,
    ScoredDrive,
    auc,
    detect,
    pooled,
    windows_before_departures,
    windows_without_departures,
)
from bcclone.bench.monitor.work import (
    DOUBT_RULES,
    SeedFolder,
    drive_all,
    drive_all_in_doubt,
    nominal_scenarios,
    prepare,
    scenarios,
)
from bcclone.bench.settings import MonitorBenchSettings
from bcclone.monitor.monitor import read_monitor
from bcclone.plots.detections import DetectionChart, plot_detections
from bcclone.task_pool import open_pool
from bcclone.tensorflow_quietly import load_tensorflow

Notify = Callable[[str], None]

_PICTURE = "monitor.png"


@dataclass(frozen=True)
class KindReport:
    """How well one kind of monitor announces departures.

    detections: for each reaction time; false_alarms: fraction of the undisturbed windows with an alarm; weather_auc:
    the area under the ROC curve for windows 1 s before a departure against windows in the same conditions that no
    departure follows within 5 s; healthy_alarms: fraction of the latter with an alarm; p50_ms, p99_ms: for a frame.
    """

    kind: str
    threshold: float
    detections: tuple[Detection, ...]
    false_alarms: float
    weather_auc: float
    healthy_alarms: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class SeedReport:
    """The result of a seed. departures: row -> how often the car left the road; on_doubt: rule -> the same."""

    seed: int
    kinds: tuple[KindReport, ...]
    departures: Mapping[str, int]
    on_doubt: Mapping[str, Mapping[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return asdict(self)


def measure_monitors(settings: MonitorBenchSettings, notify: Notify = lambda line: None) -> list[SeedReport]:
    """Measure with each seed, and draw the result into the folder; what is complete there is kept. Raises UserError."""
    load_tensorflow(threads=1)  # as drive.py does
    seeds = range(settings.seed, settings.seed + settings.seeds)
    reports = [_measure(SeedFolder(settings, seed), notify) for seed in seeds]
    charts = [
        DetectionChart(kind, [one.f3 for one in _medians(reports, kind)], _latency(reports, kind))
        for kind in settings.kinds
    ]
    plot_detections(charts, REACTION_SECONDS, settings.folder / _PICTURE)
    return reports


def to_rows(reports: Sequence[SeedReport]) -> list[str]:
    """Return the lines of a table for each seed."""
    return [line for report in reports for line in _seed_rows(report)]


def _measure(work: SeedFolder, notify: Notify) -> SeedReport:
    prepare(work, notify)
    with open_pool("", work.settings.jobs) as pool:
        drive_all(work, pool)
    fit_all(work, notify)
    score_drives(work, notify)
    doubting = work.settings.on_doubt_kind
    if doubting:
        with open_pool("", work.settings.jobs) as pool:
            drive_all_in_doubt(work, doubting, pool)
    kinds = tuple(_judge(work, kind) for kind in work.settings.kinds)
    rows = [one.name for one in scenarios(work.settings)]
    departures = {name: len(read_scores(work, work.settings.kinds[0], name).departures) for name in rows}
    return SeedReport(work.seed, kinds, departures, _on_doubt(work, doubting, rows) if doubting else {})


def _judge(work: SeedFolder, kind: str) -> KindReport:
    info, _ = read_monitor(work.monitor(kind))
    driven = [read_scores(work, kind, one.name) for one in scenarios(work.settings)]
    nominal = [read_scores(work, kind, one.name) for one in nominal_scenarios(work.settings, calibration=False)]
    negative = pooled([windows_without_departures(one) for one in nominal])
    positive = {seconds: _before(driven, seconds) for seconds in REACTION_SECONDS}
    healthy = pooled([windows_without_departures(one, margin_seconds=5.0) for one in driven])
    p50, p99 = measure_latency(work, kind)
    return KindReport(
        kind,
        info.threshold,
        tuple(detect(seconds, positive[seconds], negative, info.threshold) for seconds in REACTION_SECONDS),
        round(float((negative > info.threshold).mean()), 4),
        round(auc(positive[1], healthy), 4),
        round(float((healthy > info.threshold).mean()), 4) if len(healthy) else 0.0,
        p50,
        p99,
    )


def _before(driven: Sequence[ScoredDrive], seconds: float) -> FloatArray:
    return pooled([windows_before_departures(one, seconds) for one in driven])


def _on_doubt(work: SeedFolder, kind: str, rows: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {
        rule: {name: json.loads(work.doubt(kind, rule, name).read_text(encoding="utf-8")) for name in rows}
        for rule in DOUBT_RULES
    }


def _medians(reports: Sequence[SeedReport], kind: str) -> list[Detection]:
    """Return the detections of the seed with the median F3 of each reaction time."""
    found = [one.detections for report in reports for one in report.kinds if one.kind == kind]
    return [sorted(group, key=lambda one: one.f3)[len(group) // 2] for group in zip(*found, strict=True)]


def _latency(reports: Sequence[SeedReport], kind: str) -> float:
    return median(one.p50_ms for report in reports for one in report.kinds if one.kind == kind)


def _seed_rows(report: SeedReport) -> list[str]:
    failing = sum(1 for count in report.departures.values() if count)
    lines = [
        f"seed {report.seed}: {sum(report.departures.values())} departures in {failing} of {len(report.departures)} "
        "conditions",
        f"{'':<13}{'F3, precision, recall and AUC, 1, 2 and 3 s before':<70}{'alarms':>8}{'ms p50':>8}{'p99':>7}",
    ]
    for one in report.kinds:
        cells = "".join(
            f"{found.f3:6.3f}{found.precision:6.2f}{found.recall:5.2f}{found.auc:6.3f}" for found in one.detections
        )
        lines.append(f"{one.kind:<13}{cells:<70}{one.false_alarms:8.1%}{one.p50_ms:8.1f}{one.p99_ms:7.1f}")
    for rule, drives in report.on_doubt.items():
        departures = sum(drive["departures"] for drive in drives.values())
        lines.append(f"--on-doubt {rule}: {departures} departures")
    return lines
