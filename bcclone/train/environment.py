"""Describe the machine, the packages and the code version, for environment.json of a run."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

_GIT_SECONDS = 10


def describe_environment() -> dict[str, Any]:
    """Return what this process runs with, as environment.json holds it; TensorFlow is loaded here.

    command: the words of the command line; gpus: a description of each GPU that is used; cuda: the version that
    TensorFlow was built for; packages: version by name; git: of this code, None outside of a checkout.
    """
    import tensorflow as tf

    from bcclone.system.tensorflow_quietly import used_gpus

    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": [gpu.describe() for gpu in used_gpus()],
        "cuda": tf.sysconfig.get_build_info().get("cuda_version"),
        "packages": dict(sorted((entry.name, entry.version) for entry in metadata.distributions() if entry.name)),
        "git": git_state(Path(__file__).parent),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and changed files of a folder's git checkout; None without a checkout or without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None or not _git(folder, "ls-files"):  # an installed package may be in another's checkout
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no") or ""
    return {"commit": commit.strip(), "changed": [line[3:] for line in changed.splitlines()]}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        completed = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=_GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return completed.stdout
