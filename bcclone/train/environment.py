"""Describe the machine, the packages and the code version of a training."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

_GIT_SECONDS = 10


@dataclass(frozen=True)
class GitState:
    """The commit that is checked out, and the files that differ from it."""

    commit: str
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Environment:
    """What a training runs with.

    command: the words of the command line; gpus: a description of each GPU that is used; cuda: the version that
    TensorFlow was built for; packages: version by name; git: of this code, None outside of a checkout.
    """

    command: tuple[str, ...]
    python: str
    system: str
    processor: str
    cores: int | None
    memory_gb: float
    gpus: tuple[str, ...]
    cuda: str | None
    packages: Mapping[str, str]
    git: GitState | None

    def as_json(self) -> dict[str, Any]:
        """Return the values that environment.json holds, as reading that file gives them."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return values


def describe_environment() -> Environment:
    """Return the environment of this process; TensorFlow is loaded here."""
    import tensorflow as tf

    from bcclone.system.tensorflow_quietly import used_gpus

    return Environment(
        command=tuple(sys.argv),
        python=platform.python_version(),
        system=platform.platform(),
        processor=platform.processor() or platform.machine(),
        cores=os.cpu_count(),
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        gpus=tuple(gpu.describe() for gpu in used_gpus()),
        cuda=tf.sysconfig.get_build_info().get("cuda_version"),
        packages=dict(sorted((entry.name, entry.version) for entry in metadata.distributions() if entry.name)),
        git=git_state(Path(__file__).parent),
    )


def git_state(folder: Path) -> GitState | None:
    """Return commit and changed files of a folder's git checkout; None without a checkout or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or not _git(folder, "ls-files"):  # an installed package may be in another's checkout
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no") or ""
    return GitState(commit.strip(), tuple(line[3:] for line in changed.splitlines()))


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
