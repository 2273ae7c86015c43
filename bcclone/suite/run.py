"""Models, rows -> a drive of each, on several cores; the same however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bcclone.errors import UserError
from bcclone.progress import Progress
from bcclone.suite.child import Task
from bcclone.suite.crew import Crew
from bcclone.suite.result import Drive, SuiteResult
from bcclone.suite.rows import Row

_MOST_JOBS = 256


@dataclass(frozen=True)
class SuiteSettings:
    """preprocess: for models that do not say how their input is made; jobs: processes that drive side by side."""

    preprocess: str | None = None
    jobs: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.jobs <= _MOST_JOBS:
            raise ValueError(f"jobs {self.jobs}, expected 1 to {_MOST_JOBS}")


def run_suite(models: Sequence[Path], rows: Sequence[Row], settings: SuiteSettings) -> SuiteResult:
    """Let every model drive every row; raises UserError."""
    names = name_models(models)
    # the longest first, so that no process drives on alone at the end
    tasks = [
        Task(path, settings.preprocess, row)
        for row in sorted(rows, key=lambda row: -row.seconds)
        for path in names.values()
    ]
    done: dict[Task, Drive] = {}
    metres = round(sum(task.row.length_m for task in tasks))
    with Progress("driving", metres, "m") as progress, Crew(min(settings.jobs, len(tasks))) as crew:
        came: dict[Task, float] = dict.fromkeys(tasks, 0.0)
        for task, answer in crew.drive(tasks):
            step = answer if isinstance(answer, float) else max(task.row.length_m - came[task], 0.0)
            came[task] += step
            if isinstance(answer, Drive):
                done[task] = answer
            progress.advance(step, f"{len(done)} of {len(tasks)} drives done")
    drives = {
        row.name: {name: done[Task(path, settings.preprocess, row)] for name, path in names.items()} for row in rows
    }
    return SuiteResult(names, tuple(rows), drives)


def name_models(models: Sequence[Path]) -> dict[str, Path]:
    """Return the models by the shortest names that tell them apart: without their folders, where that is enough."""
    for path in models:
        if not path.is_file():
            raise UserError(f"{path}: there is no such model; train one with: python model.py data.h5 -o {path}")
    if len({path.resolve() for path in models}) < len(models):
        raise UserError("a model is named twice; name each once")
    for names in ([path.stem for path in models], [path.name for path in models]):
        if len(set(names)) == len(models):
            return dict(zip(names, models, strict=True))
    return {str(path): path for path in models}
