"""An NVIDIA card's name and compute capability -> whether the installed libraries run on it, and which ones do.

What TensorFlow's wheels are built for is in `tensorflow.sysconfig.get_build_info()["cuda_compute_capabilities"]` of
each: 2.14.1 begins with sm_35, 2.15.1 and 2.16.2 with sm_50, 2.17.1 to 2.21.0 with sm_60. cuDNN up to 9.10.2 runs from
5.0 on and the next, 9.11.0, from 7.5 on, by NVIDIA's support matrices of the two; and so it is with the kernels in
libcudnn_ops.so of the wheels 9.10.2.21 and 9.28.0.42.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from bcclone.doctor import Check
from bcclone.gpu import Card

Capability = tuple[int, int]

TENSORFLOW_LEAST: Capability = (6, 0)  # of the wheels that bcclone asks for
CUDNN_LEAST: Capability = (7, 5)  # from _CUDNN_WITHOUT_OLDER on
_CUDNN, _CUDNN_WITHOUT_OLDER, _CUDNN_FOR_OLDER = "nvidia-cudnn-cu12", (9, 11), "9.10.2.21"


@dataclass(frozen=True)
class LastTensorFlow:
    """The last version whose wheels have kernels from `least` on, and the newest Python that they are for."""

    least: Capability
    version: str
    python: str


_LAST = (LastTensorFlow((5, 0), "2.16.2", "3.12"), LastTensorFlow((3, 5), "2.14.1", "3.11"))
# https://developer.nvidia.com/cuda-legacy-gpus; drivers of these cards may be too old to tell the compute capability
_OLD_NAMES: tuple[tuple[str, Capability], ...] = (
    (r"TITAN V\b|\bV100", (7, 0)),
    (r"\bP100", (6, 0)),
    (r"GTX? 10\d\d|TITAN X[pP]|TITAN X \(Pascal\)|(Quadro|Tesla) P\d", (6, 1)),
    (r"GTX 9\d\d|GTX TITAN X|(Quadro|Tesla) M\d", (5, 2)),
    (r"GTX 7[45]\d|GTX 8[456]\dM|\b9[34]\dM", (5, 0)),
    (r"\bK80", (3, 7)),
    (r"GTX 780|GTX TITAN|Tesla K[24]0|Quadro K(6000|5200)", (3, 5)),
    (r"GTX 6[5-9]0|GTX 7[67]0|Quadro K[1-5]\d\d\d|\bK10\b", (3, 0)),
)


def check_cards(cards: Sequence[Card], cudnn: str | None) -> Iterator[Check]:
    """Yield a check of each card. cudnn: the installed version of cuDNN, None without one."""
    for card in cards:
        yield judge_card(card, cudnn)


def installed_cudnn() -> str | None:
    """Return the version of the installed cuDNN of CUDA 12, None where there is none."""
    try:
        return metadata.version(_CUDNN)
    except metadata.PackageNotFoundError:
        return None


def judge_card(card: Card, cudnn: str | None) -> Check:
    """Judge whether TensorFlow and cuDNN run on a card, and name those that do. cudnn: the installed version."""
    capability = card.compute_capability or capability_of(card.name)
    if capability is None:
        return Check("GPU", "ok", f"{card.describe()}; from the GTX 16 and RTX 20 on (compute capability 7.5) it works")
    found = card.describe() if card.compute_capability else f"{card.name}, by its name {_text(capability)}"
    if capability < TENSORFLOW_LEAST:
        return Check("GPU", "warning", f"{found}: too old for TensorFlow 2.21", _older_tensorflow(capability))
    if capability >= CUDNN_LEAST:
        return Check("GPU", "ok", found)
    older_cudnn = f'python -m pip install "{_CUDNN}=={_CUDNN_FOR_OLDER}"'
    since = ".".join(map(str, _CUDNN_WITHOUT_OLDER))
    if cudnn is None:
        advice = f"where '.[gpu]' is installed, take the last cuDNN that runs on this card: {older_cudnn}"
        return Check("GPU", "warning", f"{found}: too old for cuDNN {since} and later", advice)
    if _version(cudnn) >= _CUDNN_WITHOUT_OLDER:
        advice = f"take the last one that does, without constraints.txt: {older_cudnn}"
        return Check("GPU", "failed", f"{found}: cuDNN {cudnn} does not run on it", advice)
    return Check("GPU", "ok", f"{found}, with cuDNN {cudnn}")


def capability_of(name: str) -> Capability | None:
    """Return the compute capability of an older card by its name, None for those that it does not tell."""
    return next((capability for pattern, capability in _OLD_NAMES if re.search(pattern, name)), None)


def _older_tensorflow(capability: Capability) -> str:
    last = next((last for last in _LAST if capability >= last.least), None)
    if last is None:
        return f"bcclone trains on the CPU: the wheels of TensorFlow 2 begin with {_text(_LAST[-1].least)}"
    return (
        f"bcclone trains on the CPU; the last TensorFlow whose wheels serve {_text(capability)} is {last.version}, for "
        f"other programs and in an environment of its own: python{last.python} -m pip install "
        f'"tensorflow[and-cuda]=={last.version}"'
    )


def _text(capability: Capability) -> str:
    return "compute capability {}.{}".format(*capability)


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:2])
