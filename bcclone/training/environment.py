"""Describe the environment of a training: the machine, the packages and the git commit.

describe_environment() asks the system, and returns JSON values by name. A run folder keeps them in
environment.json.
"""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil


def describe_environment() -> dict[str, Any]:
    """Describe machine, packages and code of this process; loads TensorFlow."""
    import tensorflow as tf

    from bcclone.system.tensorflow_quietly import used_gpus

    versions = [(entry.name, entry.version) for entry in metadata.distributions() if entry.name]
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "system": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": [gpu.describe() for gpu in used_gpus()],
        # the version of CUDA that TensorFlow was built for
        "cuda": tf.sysconfig.get_build_info().get("cuda_version"),
        "packages": dict(sorted(versions)),
        "git": _git_state(Path(__file__).parent),
    }


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Return the commit and the changed files of a folder's git checkout.

    None if the folder is not in a checkout, or git is not installed or fails.
    """
    seconds = 10  # after which git is given up, as on a slow network drive

    def git(*words: str) -> str:
        line = ["git", "-C", str(folder), *words]
        done = subprocess.run(line, capture_output=True, text=True, timeout=seconds, check=True)
        return done.stdout

    try:
        # no tracked file: the package is installed below the checkout of some other project
        if not git("ls-files"):
            return None
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    # a line is two letters of status, a space and the path
    return {"commit": commit.strip(), "changed": [line[3:] for line in changed.splitlines()]}
