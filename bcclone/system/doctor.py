"""Check every requirement of bcclone on this machine, and explain how to fix each fault.

Nothing is changed, downloaded or printed. The checks run even if no package is installed.

TensorFlow's wheels list the cards they are built for in
`tensorflow.sysconfig.get_build_info()["cuda_compute_capabilities"]`: 2.17.1 to 2.21.0 begin with sm_60. cuDNN up to
9.10.2 supports cards from 5.0 on, and the next version, 9.11.0, from 7.5 on, by NVIDIA's support matrices of the two
and the kernels in libcudnn_ops.so of the wheels 9.10.2.21 and 9.28.0.42.
"""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bcclone.system.errors import number_of
from bcclone.system.hardware import Card, available_memory, find_cards, read_text, usable_cores
from bcclone.system.machine_checks import (
    REINSTALL,
    Check,
    check_cores,
    check_declared_packages,
    check_ffmpeg,
    check_folder,
    check_memory,
    check_packages,
    check_port,
    check_python,
    check_system,
    check_test_tools,
    version_of,
)
from bcclone.system.settings import SIMULATOR_PORT, Checked, Port, setting

OLDEST_FOR_TENSORFLOW = (6, 0)  # compute capability, of the wheels that bcclone requires
_OLDEST_FOR_CUDNN = (7, 5)  # from _CUDNN_WITHOUT_OLDER on
_CUDNN, _CUDNN_WITHOUT_OLDER, _CUDNN_FOR_OLDER = "nvidia-cudnn-cu12", (9, 11), "9.10.2.21"
_TENSORFLOW_SECONDS = 180.0


@dataclass(frozen=True)
class DoctorSettings(Checked):
    """What to check. folder: where files will be written."""

    folder: Path = Path()
    full: bool = setting(False, "also load TensorFlow and compute on each of its devices")
    port: Port = setting(SIMULATOR_PORT, "port that has to be free for drive.py")


@dataclass(frozen=True)
class Examination:
    """The results of all checks."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Return whether no check failed; warnings are allowed."""
        return all(check.state != "failed" for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {"checks": [asdict(check) for check in self.checks], "ok": self.ok}

    def as_text(self) -> str:
        """Return a line for each check, what to do about those that did not pass, and how many they are."""
        width = max(len(check.name) for check in self.checks) + 2
        lines = []
        for check in self.checks:
            state = check.state.upper() if check.state == "failed" else check.state
            lines.append(f"{check.name:<{width}}{state:<9}{check.found}")
            if check.advice:
                lines.append(f"{'':<{width + 9}}-> {check.advice}")
        failed, warnings = (sum(check.state == state for check in self.checks) for state in ("failed", "warning"))
        return "\n".join([*lines, "", f"{failed or 'nothing'} failed, {number_of(warnings, 'warning')}"])


def examine(settings: DoctorSettings) -> Examination:
    """Run every check; one that breaks is itself reported as failed."""
    steps: Mapping[str, Callable[[], Iterable[Check]]] = {
        "system": lambda: [check_system(read_text(Path("/proc/version")))],
        "python": lambda: [check_python(sys.version_info[:2])],
        "packages": check_declared_packages,
        "port": lambda: [check_port(settings.port)],
        "folder": lambda: check_folder(settings.folder),
        "memory": lambda: [check_memory(available_memory())],
        "cores": lambda: [check_cores(usable_cores())],
        "accelerator": lambda: [_check_accelerator(settings.full)],
        "GPU": lambda: [check_card(card, version_of(_CUDNN)) for card in find_cards()],
        "ffmpeg": lambda: [check_ffmpeg()],
        "test tools": check_test_tools,
    }
    checks: list[Check] = []
    for name, step in steps.items():
        try:
            checks.extend(step())
        except Exception as error:  # one broken check must not hide the results of the others
            found = f"cannot be checked: {type(error).__name__}: {error}"
            checks.append(Check(name, "failed", found, "please report this, with the whole output"))
    return Examination(tuple(checks))


def _check_accelerator(full: bool) -> Check:
    """Check whether TensorFlow can use a GPU. full: load it."""
    driver = next((card.driver for card in find_cards()), None)
    if text := read_text(Path("/proc/driver/nvidia/version")):
        version = re.search(r"\d+\.\d+(\.\d+)?", text)
        driver = version[0] if version else "of unknown version"
    return check_devices(driver) if full else check_driver(driver, sys.platform)


def check_driver(driver: str | None, system: str) -> Check:
    """Check, without loading TensorFlow, whether it can use a GPU. driver: its version; system: as sys.platform."""
    if driver is None:
        return Check("accelerator", "ok", "no NVIDIA driver was found: TensorFlow computes on the CPU")
    found = f"NVIDIA driver {driver}"
    if system == "win32":
        return Check("accelerator", "warning", f"{found}, on Windows", _how_to_get_gpu(system))
    if all(check.state == "ok" for check in check_packages(["tensorflow[and-cuda]"])):
        return Check("accelerator", "ok", f"{found}; --full also tests TensorFlow on it")
    missing = f"{found}, but some of the CUDA libraries that TensorFlow needs are not installed"
    return Check("accelerator", "warning", missing, _how_to_get_gpu(system))


def check_devices(driver: str | None) -> Check:
    """Load TensorFlow in another process, which it may crash, and check the devices that it computes on."""
    code = "import json; from bcclone.system.doctor import compute_on_devices as f; print(json.dumps(f()))"
    line = [sys.executable, "-P", "-c", code]
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TENSORFLOW_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        found = f"TensorFlow did not answer within {_TENSORFLOW_SECONDS:.0f} s"
        return Check("accelerator", "failed", found, f"try again when the machine is idle, or {REINSTALL}")
    if done.returncode == 0:
        return check_computed(json.loads(done.stdout.splitlines()[-1]), driver, sys.platform)
    errors = done.stderr.decode(errors="replace").strip().splitlines()
    why = errors[-1] if errors else f"exit code {done.returncode}"
    if hasattr(signal, "SIGILL") and done.returncode == -signal.SIGILL:
        why = "the processor lacks instructions that its builds use (AVX)"
    return Check("accelerator", "failed", f"TensorFlow cannot be loaded: {why}", REINSTALL)


def compute_on_devices() -> dict[str, str]:
    """Load TensorFlow, compute on each of its devices, and return device -> error, "" if there was none.

    It multiplies matrices, and computes a convolution, which on a GPU needs cuDNN.
    """
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    import tensorflow

    faults = {}
    for device in tensorflow.config.list_logical_devices():
        try:
            with tensorflow.device(device.name):
                ones = tensorflow.ones((64, 64))
                total = float(tensorflow.reduce_sum(tensorflow.matmul(ones, ones)))
                image, kernel = tensorflow.ones((1, 8, 8, 1)), tensorflow.ones((3, 3, 1, 1))
                convolved = float(tensorflow.reduce_sum(tensorflow.nn.conv2d(image, kernel, 1, "VALID")))
            is_right = total == 64**3 and convolved == 6 * 6 * 9
            fault = "" if is_right else f"64 x 64 x 64 ones make {total:g}, a convolution of ones {convolved:g}"
        except Exception as error:  # its class depends on the device and the driver
            fault = f"{type(error).__name__}: {error}"
        faults[device.name.removeprefix("/device:")] = fault
    return faults


def check_computed(faults: Mapping[str, str], driver: str | None, system: str) -> Check:
    """Check what compute_on_devices() returned. driver: version of the NVIDIA driver; system: as sys.platform."""
    if bad := [f"{device}: {fault}" for device, fault in faults.items() if fault]:
        advice = "update the driver, or hide the GPU from TensorFlow: set CUDA_VISIBLE_DEVICES to -1"
        return Check("accelerator", "failed", f"TensorFlow cannot compute on {'; '.join(bad)}", advice)
    found = f"TensorFlow computes on {', '.join(faults)}"
    if driver is not None and not any(device.startswith("GPU") for device in faults):
        found += f" and does not find the GPU of NVIDIA driver {driver}"
        return Check("accelerator", "warning", found, _how_to_get_gpu(system))
    return Check("accelerator", "ok", found)


def _how_to_get_gpu(system: str) -> str:
    if system == "win32":
        return "TensorFlow computes on the GPU of a Windows machine only in WSL2; install bcclone there"
    return 'install the CUDA libraries for TensorFlow: python -m pip install -e ".[gpu]" (on Windows, in WSL2)'


def check_card(card: Card, cudnn: str | None) -> Check:
    """Check whether TensorFlow and cuDNN support a card; the advice names versions that do. cudnn: its version."""
    capability, found = card.compute_capability, card.describe()
    if capability is None:
        advice = (
            "update the driver; docs/how-to/install.md names the last TensorFlow for cards that no newer one supports"
        )
        return Check("GPU", "warning", f"{found}: its driver {card.driver} is too old for TensorFlow 2.21", advice)
    if capability < OLDEST_FOR_TENSORFLOW:
        advice = "bcclone trains on the CPU; docs/how-to/install.md names the last TensorFlow for older cards"
        return Check("GPU", "warning", f"{found}: too old for TensorFlow 2.21", advice)
    if capability >= _OLDEST_FOR_CUDNN:
        return Check("GPU", "ok", found)
    since = ".".join(map(str, _CUDNN_WITHOUT_OLDER))
    if cudnn and tuple(map(int, cudnn.split(".")[:2])) < _CUDNN_WITHOUT_OLDER:
        return Check("GPU", "ok", f"{found}, with cuDNN {cudnn}")
    advice = f'with ".[gpu]", install an older cuDNN: python -m pip install "{_CUDNN}=={_CUDNN_FOR_OLDER}"'
    return Check("GPU", "failed" if cudnn else "warning", f"{found}: too old for cuDNN {since} and later", advice)
