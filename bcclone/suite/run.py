"""Models, rows, recordings -> a drive of each, on several cores; the same however many there are."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bcclone.errors import UserError
from bcclone.progress import Progress
from bcclone.suite.child import Task
from bcclone.suite.crew import Crew
from bcclone.suite.result import Drive, Replayed, SuiteResult
from bcclone.suite.rows import Recording, Row

_MOST_JOBS = 256


@dataclass(frozen=True)
class SuiteSettings:
    """preprocess: for models that do not say how their input is made; jobs: processes that drive side by side."""

    preprocess: str | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.jobs <= _MOST_JOBS:
            raise ValueError(f"jobs {self.jobs}, expected 1 to {_MOST_JOBS}")


def run_suite(
    models: Sequence[Path], rows: Sequence[Row], settings: SuiteSettings, logs: Sequence[Path] = ()
) -> SuiteResult:
    """Let every model drive every row, and through the recordings of these logs; raises UserError."""
    names, recordings = name_models(models), name_recordings(logs)
    # the longest first, so that no process drives on alone at the end
    ordered: list[Row | Recording] = sorted([*rows, *recordings], key=lambda row: -row.seconds)
    done = _drive([Task(path, settings.preprocess, row) for row in ordered for path in names.values()], settings.jobs)

    def by_model(row: Row | Recording) -> Iterable[tuple[str, Drive | Replayed]]:
        return ((name, done[Task(path, settings.preprocess, row)]) for name, path in names.items())

    drives = {row.name: {name: it for name, it in by_model(row) if isinstance(it, Drive)} for row in rows}
    replays = {one.name: {name: it for name, it in by_model(one) if isinstance(it, Replayed)} for one in recordings}
    return SuiteResult(names, tuple(rows), drives, recordings, replays)


def _drive(tasks: Sequence[Task], jobs: int) -> dict[Task, Drive | Replayed]:
    """Do all tasks, and show how far they are."""
    done: dict[Task, Drive | Replayed] = {}
    came = dict.fromkeys(tasks, 0.0)
    metres = round(sum(task.row.length_m for task in tasks))
    with Progress("driving", metres, "m") as progress, Crew(min(jobs, len(tasks))) as crew:
        for task, answer in crew.drive(tasks):
            if isinstance(answer, float):
                step = answer
            else:
                step, done[task] = max(task.row.length_m - came[task], 0.0), answer
            came[task] += step
            progress.advance(step, f"{len(done)} of {len(tasks)} drives done")
    return done


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """Return the models by the shortest names that tell them apart: without their folders, where that is enough.

    Raises UserError for one that is not there, or is named twice.
    """
    for path in models:
        if not path.is_file():
            raise UserError(f"{path}: there is no such model; train one with: python model.py data.h5 -o {path}")
    for number, path in enumerate(models):
        if path.resolve() in [other.resolve() for other in models[:number]]:
            raise UserError(f"{path} is named twice; name each model once")
    return _named(models, [[path.stem for path in models], [path.name for path in models]])


def name_recordings(logs: Sequence[Path]) -> tuple[Recording, ...]:
    """Return the recordings of some logs, named by their folders where that tells them apart."""
    named = _named(logs, [[log.absolute().parent.name for log in logs]])
    return tuple(Recording(name, log) for name, log in named.items())


def _named(paths: Sequence[Path], choices: Sequence[Sequence[str]]) -> dict[str, Path]:
    """Return the paths by the first choice of names that tells them apart, or by themselves."""
    for names in choices:
        if len(set(names)) == len(paths):
            return dict(zip(names, paths, strict=True))
    return {str(path): path for path in paths}
