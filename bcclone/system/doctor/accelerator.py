"""Check the NVIDIA driver and cards, and with TensorFlow loaded, the devices that it computes on.

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
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

from bcclone.system.doctor.machine import REINSTALL, Check, check_packages
from bcclone.system.hardware import Card, find_cards, read_text

Capability = tuple[int, int]

_TENSORFLOW_SECONDS = 180.0
OLDEST_FOR_TENSORFLOW: Capability = (6, 0)  # of the wheels that bcclone requires
_OLDEST_FOR_CUDNN: Capability = (7, 5)  # from _CUDNN_WITHOUT_OLDER on
_CUDNN, _CUDNN_WITHOUT_OLDER, _CUDNN_FOR_OLDER = "nvidia-cudnn-cu12", (9, 11), "9.10.2.21"


def check_accelerator(full: bool) -> Check:
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
    code = "import json; from bcclone.system.doctor.accelerator import compute_on_devices as f; print(json.dumps(f()))"
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
            fault = "" if total == 64**3 else f"64 x 64 x 64 ones make {total:g}"
            if convolved != 6 * 6 * 9:
                fault = f"a convolution of ones makes {convolved:g}"
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


def installed_cudnn() -> str | None:
    """Return the version of the installed cuDNN for CUDA 12, None if there is none."""
    try:
        return metadata.version(_CUDNN)
    except metadata.PackageNotFoundError:
        return None


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
    older_cudnn = f'python -m pip install "{_CUDNN}=={_CUDNN_FOR_OLDER}"'
    since = ".".join(map(str, _CUDNN_WITHOUT_OLDER))
    if cudnn is None:
        advice = f"if '.[gpu]' is installed, install the last cuDNN that supports this card: {older_cudnn}"
        return Check("GPU", "warning", f"{found}: too old for cuDNN {since} and later", advice)
    if _version(cudnn) >= _CUDNN_WITHOUT_OLDER:
        advice = f"install the last version that does, without constraints.txt: {older_cudnn}"
        return Check("GPU", "failed", f"{found}: cuDNN {cudnn} does not support it", advice)
    return Check("GPU", "ok", f"{found}, with cuDNN {cudnn}")


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])
