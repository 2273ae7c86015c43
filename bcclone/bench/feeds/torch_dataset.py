"""A recording's training samples as a PyTorch dataset; importing it raises ImportError where PyTorch is missing."""

import torch
from torch.utils.data import Dataset
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms.v2 import functional

from bcclone.bench.feeds.rooflines import JpegSamples


class JpegDataset(Dataset[tuple[torch.Tensor, float]]):  # type: ignore[misc]
    """Images as PyTorch has them: uint8 (3, height, width)."""

    def __init__(self, samples: JpegSamples) -> None:
        self._files, self._flipped = samples.files.tolist(), samples.flipped.tolist()
        self._steering = samples.steering.tolist()
        self._size = [samples.preprocessing.height, samples.preprocessing.width]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, float]:
        frame = decode_jpeg(read_file(self._files[index]), ImageReadMode.RGB)
        image = functional.resize(frame, self._size, antialias=False)
        return functional.horizontal_flip(image) if self._flipped[index] else image, self._steering[index]
