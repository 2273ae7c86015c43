"""PyTorch's DataLoader over JPEG files with workers that persist, decoding and resizing by torchvision."""

import itertools

import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms.v2 import functional

from bcclone.bench.feeds.jpeg_samples import JpegSamples, jpeg_samples
from bcclone.bench.feeds.race import Race, Taken


class JpegDataset(Dataset[tuple[torch.Tensor, float]]):  # type: ignore[misc]
    """Images as PyTorch has them: uint8 (3, height, width)."""

    def __init__(self, samples: JpegSamples) -> None:
        self._files, self._flipped = samples.files.tolist(), samples.flipped.tolist()
        self._steering = samples.steering.tolist()
        self._size = [samples.preprocessing.height, samples.preprocessing.width]

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, float]:
        frame = decode_jpeg(read_file(self._files[place]), ImageReadMode.RGB)
        image = functional.resize(frame, self._size, antialias=False)
        return functional.horizontal_flip(image) if self._flipped[place] else image, self._steering[place]


def deliver(race: Race, taken: Taken) -> None:
    """Hand over batches until there are enough."""
    loader = DataLoader(
        JpegDataset(jpeg_samples(race.store)),
        batch_size=race.batch_size,
        shuffle=True,
        num_workers=race.workers,
        persistent_workers=True,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator().manual_seed(race.seed),
    )
    for _ in itertools.count():
        for images, _steering in loader:
            if not taken(len(images)):
                return
