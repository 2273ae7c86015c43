"""What a training runs with: the machine, the packages and the state of this code.

Out: plain values, which environment.json in a run folder holds.
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
    """Return what this process runs with; TensorFlow is loaded here."""
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
        "cuda": tf.sysconfig.get_build_info().get("cuda_version"),  # that TensorFlow was built for
        "packages": dict(sorted(versions)),
        "git": _git_state(Path(__file__).parent),
    }


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Return commit and changed files of a folder's git checkout.

    None without a checkout or without git.
    """
    seconds = 10

    def git(*words: str) -> str:
        line = ["git", "-C", str(folder), *words]
        done = subprocess.run(line, capture_output=True, text=True, timeout=seconds, check=True)
        return done.stdout

    try:
        if not git("ls-files"):  # an installed package may be in another's checkout
            return None
        commit = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return {"commit": commit.strip(), "changed": [line[3:] for line in changed.splitlines()]}
