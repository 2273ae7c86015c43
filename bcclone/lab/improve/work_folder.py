"""The work folder of an improvement: its options and models; locked, so that only one process uses it."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from bcclone.lab.improve.improve_settings import ImproveSettings
from bcclone.system import atomic, file_kinds
from bcclone.system.codec import read_bytes, read_json
from bcclone.system.errors import UserError


@dataclass(frozen=True)
class WorkFolder:
    """Files on the way from a model to a better one.

    start: a copy of the first model, so that a resume does not need the original; options: of the command; rounds: the
    complete rounds; recordings: the drives; store: their samples, a folder of shards; runs, models: the trainings and
    their results; picture: of the rounds.
    """

    path: Path
    start: Path
    options: Path
    rounds: Path
    recordings: Path
    store: Path
    runs: Path
    models: Path
    picture: Path

    @classmethod
    def at(cls, path: Path) -> Self:
        """Return the work folder at a path."""
        names = ("start.h5", "options.json", "rounds", "recordings", "store", "runs", "models", "rounds.png")
        return cls(path, *(path / name for name in names))

    def clear(self) -> None:
        """Delete what an earlier improvement has left; other files stay."""
        self.options.unlink()
        for part in (self.rounds, self.recordings, self.store, self.runs, self.models):
            shutil.rmtree(part, ignore_errors=True)
        self.models.mkdir(exist_ok=True)

    def publish(self, model: Path, output: Path) -> None:
        """Write a model of this folder to the output."""
        atomic.write_bytes(output, read_bytes(model, "model"), follow=True)

    def has_published(self, output: Path) -> bool:
        """Return whether the output is a model of this folder."""
        if not output.is_file():
            return False
        digest = atomic.sha256_of(output)
        models = (model for model in (self.start, *self.models.glob("*.h5")) if model.is_file())
        return any(atomic.sha256_of(model) == digest for model in models)


@contextmanager
def opened(settings: ImproveSettings, options: Mapping[str, Any]) -> Iterator[WorkFolder]:
    """Yield the work folder, locked: a new one, or with --resume the one of the interrupted command.

    options: by name; a resumed command must have the same as the first one. Raises UserError if the folder or
    the output cannot be used.
    """
    folder = WorkFolder.at(settings.folder)
    path, record, model = folder.path, folder.options, settings.model
    if not record.exists() and not model.is_file():
        raise UserError(f"{model}: no such model; train one with: bcclone model data.h5 -o {model}")
    if model.is_file() and not folder.has_published(model):
        options = {**options, "model": atomic.sha256_of(model)}
    if record.exists() and not (settings.resume or settings.force):
        raise UserError(
            f"{path} holds an earlier improvement; continue it with --resume, begin anew with --force, which deletes "
            "it, or name another --work"
        )
    may_replace = settings.force or (settings.resume and folder.has_published(settings.output))
    file_kinds.check_output(settings.output, "model", may_replace)
    atomic.make_folder(folder.models, "another --work")
    with atomic.locked(
        path, f"{path}: another process is improving a model there; wait until it ends, or name another --work"
    ):
        if record.exists() and not settings.resume:
            folder.clear()
        if record.exists():
            _check_same(record, options)
        else:
            atomic.write_bytes(folder.start, read_bytes(model, "model"))
            atomic.write_text(record, json.dumps(options, indent=1) + "\n")
        yield folder


def _check_same(record: Path, options: Mapping[str, Any]) -> None:
    """Raise UserError if this command differs from the first one."""
    stored = read_json(record, dict[str, Any], "the options of an improvement", "name another --work")
    differing = [
        f"\n  {name}: {stored.get(name)}, but now {value}"
        for name, value in json.loads(json.dumps(options)).items()
        if stored.get(name) != value
    ]
    if differing:
        raise UserError(
            f"{record.parent} has other options; resume it with the same ones, begin anew with --force "
            "instead of --resume, or name another --work:"
            f"{''.join(differing)}"
        )
