"""The NVIDIA driver and, when asked, the devices that TensorFlow sees -> one check."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bcclone.doctor import Check, read
from bcclone.doctor.packages import REINSTALL, check_packages
from bcclone.gpu import find_cards

_TENSORFLOW_SECONDS = 180.0


def find_driver() -> str | None:
    """Return the version of the NVIDIA driver, None when there is none to be seen; TensorFlow is not asked."""
    if said := read(Path("/proc/driver/nvidia/version")):
        version = re.search(r"\d+\.\d+(\.\d+)?", said)
        return version[0] if version else "of unknown version"
    cards = find_cards()
    return cards[0].driver if cards else None


def check_driver(driver: str | None, system: str) -> Check:
    """Judge, without TensorFlow, whether it can compute on a GPU. driver: its version; system: as sys.platform."""
    if driver is None:
        return Check("accelerator", "ok", "no NVIDIA driver answers: TensorFlow computes on the CPU")
    found = f"NVIDIA driver {driver}"
    if system == "win32":
        return Check("accelerator", "warning", f"{found}, on Windows", _how_to_get_gpu(system))
    if all(check.state == "ok" for check in check_packages(["tensorflow[and-cuda]"])):
        return Check("accelerator", "ok", f"{found}; --full asks TensorFlow, too")
    missing = f"{found}, but the CUDA libraries that TensorFlow wants are not all installed"
    return Check("accelerator", "warning", missing, _how_to_get_gpu(system))


def check_devices(driver: str | None) -> Check:
    """Load TensorFlow in a process of its own, which it may crash, and judge the devices that it computes on."""
    code = "import json; from bcclone.doctor.accelerator import compute_on_devices as f; print(json.dumps(f()))"
    line = [sys.executable, "-c", code]
    try:
        done = subprocess.run(
            line, stdin=subprocess.DEVNULL, capture_output=True, timeout=_TENSORFLOW_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        found = f"TensorFlow has not answered in {_TENSORFLOW_SECONDS:.0f} s"
        return Check("accelerator", "failed", found, f"try once more when the machine is idle, or {REINSTALL}")
    if done.returncode == 0:
        return judge_devices(json.loads(done.stdout.splitlines()[-1]), driver, sys.platform)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    why = said[-1] if said else f"exit code {done.returncode}"
    if hasattr(signal, "SIGILL") and done.returncode == -signal.SIGILL:
        why = "the processor lacks an instruction (AVX) that its builds use"
    return Check("accelerator", "failed", f"TensorFlow cannot be loaded: {why}", REINSTALL)


def compute_on_devices() -> dict[str, str]:
    """Load TensorFlow and compute on each device it sees; return what went wrong there, "" if nothing, by device.

    A product of matrices, and a convolution, which is cuDNN's on a GPU.
    """
    from bcclone.tensorflow_quietly import load_tensorflow

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
            fault = "" if total == 64**3 else f"64 x 64 x 64 ones make {total:g}"
            if convolved != 6 * 6 * 9:
                fault = f"a convolution of ones makes {convolved:g}"
        except Exception as error:  # of many classes, by device and driver
            fault = f"{type(error).__name__}: {error}"
        faults[device.name.removeprefix("/device:")] = fault
    return faults


def judge_devices(faults: Mapping[str, str], driver: str | None, system: str) -> Check:
    """Judge what compute_on_devices() returned. driver: the NVIDIA driver's version; system: as sys.platform."""
    if bad := [f"{device}: {fault}" for device, fault in faults.items() if fault]:
        advice = "update the driver, or hide the GPU from TensorFlow: set CUDA_VISIBLE_DEVICES to -1"
        return Check("accelerator", "failed", f"TensorFlow cannot compute on {'; '.join(bad)}", advice)
    found = f"TensorFlow computes on {', '.join(faults)}"
    if driver is not None and not any(device.startswith("GPU") for device in faults):
        found += f" and does not see the GPU of NVIDIA driver {driver}"
        return Check("accelerator", "warning", found, _how_to_get_gpu(system))
    return Check("accelerator", "ok", found)


def _how_to_get_gpu(system: str) -> str:
    if system == "win32":
        return "TensorFlow computes on the GPU of a Windows machine only in WSL2; install bcclone there"
    return 'TensorFlow gets its CUDA libraries by: python -m pip install -e ".[gpu]" (on Windows, in WSL2)'
