"""Check whether TensorFlow and XLA can use the NVIDIA card of this machine.

In: the card, and the versions of its driver and of cuDNN. Out: a `Check` of each, with advice where
something does not fit. TensorFlow is loaded only in other processes, and only for `bcclone doctor
--full`.

Which cards are supported is known from these sources. NVIDIA numbers the architecture of a card by
its compute capability, such as 6.0. TensorFlow's wheels list the cards they are built for in
`tensorflow.sysconfig.get_build_info()["cuda_compute_capabilities"]`: the lists of 2.17.1 to 2.21.0
begin with sm_60, which means 6.0. cuDNN up to 9.10.2 supports cards from 5.0 on, and the next
version, 9.11.0, from 7.5 on. That is what NVIDIA's support matrices of the two versions say, and
what the kernels in libcudnn_ops.so of the wheels 9.10.2.21 and 9.28.0.42 show.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Mapping

from bcclone.system.examination import Check
from bcclone.system.hardware import Card, driver_version, find_cards
from bcclone.system.package_checks import REINSTALL, check_packages, version_of

# lowest compute capability of a card that the required version of TensorFlow supports
OLDEST_FOR_TENSORFLOW = (6, 0)
_CUDNN = "nvidia-cudnn-cu12"  # the package of cuDNN, NVIDIA's library for convolutions


def check_accelerator(full: bool) -> Check:
    """Check whether TensorFlow can use a GPU.

    full: load TensorFlow in another process, and compute on each device
    """
    if full:
        return check_devices(driver_version())
    return check_driver(driver_version(), sys.platform)


def check_compilers(full: bool) -> list[Check]:
    """Check whether XLA can compile for the first card; no check without `full` or a card.

    XLA is TensorFlow's compiler. Only on Linux does TensorFlow use a GPU.
    """
    if not full or sys.platform != "linux":
        return []
    return [check_compiler(card) for card in find_cards()[:1]]


def check_driver(driver: str | None, system: str) -> Check:
    """Check, without loading TensorFlow, whether it can use a GPU.

    driver: version of the NVIDIA driver, None without one
    system: as sys.platform
    """
    if driver is None:
        return Check(
            "accelerator", "ok", "no NVIDIA driver was found: TensorFlow computes on the CPU"
        )
    found = f"NVIDIA driver {driver}"
    if system == "win32":
        return Check("accelerator", "warning", f"{found}, on Windows", _how_to_get_gpu(system))
    if all(check.state == "ok" for check in check_packages(["tensorflow[and-cuda]"])):
        return Check("accelerator", "ok", f"{found}; --full also tests TensorFlow on it")
    missing = f"{found}, but some of the CUDA libraries that TensorFlow needs are not installed"
    return Check("accelerator", "warning", missing, _how_to_get_gpu(system))


_TENSORFLOW_SECONDS = 180.0  # longest time that TensorFlow may take to load and compute


def check_devices(driver: str | None) -> Check:
    """Load TensorFlow, and check on which devices it computes.

    It runs in another process, because it crashes on a processor without AVX.

    driver: version of the NVIDIA driver, None without one
    """
    code = (
        "import json; from bcclone.system.accelerator_checks import compute_on_devices as f; "
        "print(json.dumps(f()))"
    )
    line = [sys.executable, "-P", "-c", code]
    try:
        done = subprocess.run(
            line,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TENSORFLOW_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        found = f"TensorFlow did not answer within {_TENSORFLOW_SECONDS:.0f} s"
        return Check(
            "accelerator", "failed", found, f"try again when the machine is idle, or {REINSTALL}"
        )
    if done.returncode == 0:
        return check_computed(json.loads(done.stdout.splitlines()[-1]), driver, sys.platform)
    errors = done.stderr.decode(errors="replace").strip().splitlines()
    why = errors[-1] if errors else f"exit code {done.returncode}"
    if hasattr(signal, "SIGILL") and done.returncode == -signal.SIGILL:
        why = "the processor lacks instructions that its builds use (AVX)"
    return Check("accelerator", "failed", f"TensorFlow cannot be loaded: {why}", REINSTALL)


def compute_on_devices() -> dict[str, str]:
    """Load TensorFlow, and compute a product of matrices and a convolution on each device.

    The convolution needs cuDNN on a GPU. Returns device -> error, "" for none.
    """
    from bcclone.system.tensorflow_quietly import load_tensorflow

    load_tensorflow()
    import tensorflow

    faults = {}
    for device in tensorflow.config.list_logical_devices():
        try:
            with tensorflow.device(device.name):
                ones = tensorflow.ones((8, 8))
                image = tensorflow.matmul(ones, ones)[None, ..., None]
                kernel = tensorflow.ones((3, 3, 1, 1))
                convolved = tensorflow.nn.conv2d(image, kernel, 1, "VALID")
                total = float(tensorflow.reduce_sum(convolved))
            fault = ""
            # each of the 6 x 6 results sums 3 x 3 values of the product of matrices, all 8
            if total != 6 * 6 * 9 * 8:
                fault = f"a product of ones, convolved with ones, sums to {total:g}"
        except Exception as error:  # the class of the error depends on the device and the driver
            fault = f"{type(error).__name__}: {error}"
        faults[device.name.removeprefix("/device:")] = fault
    return faults


def check_computed(faults: Mapping[str, str], driver: str | None, system: str) -> Check:
    """Check what compute_on_devices() returned.

    driver: version of the NVIDIA driver, None without one
    system: as sys.platform
    """
    bad = [f"{device}: {fault}" for device, fault in faults.items() if fault]
    if bad:
        advice = (
            "update the driver, or hide the GPU from TensorFlow: set CUDA_VISIBLE_DEVICES to -1"
        )
        return Check(
            "accelerator", "failed", f"TensorFlow cannot compute on {'; '.join(bad)}", advice
        )
    found = f"TensorFlow computes on {', '.join(faults)}"
    if driver is not None and not any(device.startswith("GPU") for device in faults):
        found += f" and does not find the GPU of NVIDIA driver {driver}"
        return Check("accelerator", "warning", found, _how_to_get_gpu(system))
    return Check("accelerator", "ok", found)


def check_compiler(card: Card) -> Check:
    """Check whether XLA can compile for a card, in another process, which XLA may crash."""
    from bcclone.system.tensorflow_quietly import compiler_fault, compiler_result_key

    # anew: what a training has remembered may be mended by now
    fault = compiler_fault(compiler_result_key(card.name), anew=True)
    if fault:
        advice = (
            "training goes on without compiled steps, which is slower; "
            "a newer TensorFlow or driver may help"
        )
        return Check("XLA", "warning", f"cannot compile for {card.name}: {fault}", advice)
    return Check("XLA", "ok", f"compiles for {card.name}")


def _how_to_get_gpu(system: str) -> str:
    """Return the advice for a machine whose GPU TensorFlow does not use."""
    if system == "win32":
        return (
            "TensorFlow computes on the GPU of a Windows machine only in WSL2; "
            "install bcclone there"
        )
    return (
        'install the CUDA libraries for TensorFlow: python -m pip install -e ".[gpu]" '
        "(on Windows, in WSL2)"
    )


def check_cards() -> list[Check]:
    """Check each NVIDIA card of this machine."""
    return [check_card(card, version_of(_CUDNN)) for card in find_cards()]


_OLDEST_FOR_CUDNN = (7, 5)  # lowest compute capability of a card that today's cuDNN supports
_CUDNN_WITHOUT_OLDER = (9, 11)  # first version of cuDNN that supports no older cards
_CUDNN_FOR_OLDER = "9.10.2.21"  # last version of cuDNN that supports older cards


def check_card(card: Card, cudnn: str | None) -> Check:
    """Check whether TensorFlow and cuDNN support a card; the advice names versions that do.

    cudnn: version of the installed cuDNN, None if it is not installed
    """
    capability = card.compute_capability
    found = card.describe()
    if capability is None:  # nvidia-smi of an old driver does not tell it
        advice = (
            "update the driver; docs/how-to/install.md names the last TensorFlow for cards that no "
            "newer one supports"
        )
        return Check(
            "GPU",
            "warning",
            f"{found}: its driver {card.driver} is too old for TensorFlow 2.21",
            advice,
        )
    if capability < OLDEST_FOR_TENSORFLOW:
        advice = (
            "bcclone trains on the CPU; docs/how-to/install.md names the last TensorFlow for older "
            "cards"
        )
        return Check("GPU", "warning", f"{found}: too old for TensorFlow 2.21", advice)
    if capability >= _OLDEST_FOR_CUDNN:
        return Check("GPU", "ok", found)
    since = ".".join(map(str, _CUDNN_WITHOUT_OLDER))
    if cudnn and tuple(map(int, cudnn.split(".")[:2])) < _CUDNN_WITHOUT_OLDER:
        return Check("GPU", "ok", f"{found}, with cuDNN {cudnn}")
    advice = (
        'with ".[gpu]", install an older cuDNN: '
        f'python -m pip install "{_CUDNN}=={_CUDNN_FOR_OLDER}"'
    )
    found = f"{found}: too old for cuDNN {since} and later"
    # a cuDNN that is installed is too new, and fails now; without one, a later installation would
    if cudnn:
        return Check("GPU", "failed", found, advice)
    return Check("GPU", "warning", found, advice)
