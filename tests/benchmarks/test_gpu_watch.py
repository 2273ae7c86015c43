"""GPU utilization is sampled while a block runs, with a fake nvidia-smi."""

import time
from datetime import datetime

import psutil
import pytest

from benchmarks.feeds.gpu_watch import GpuSample, GpuWatch, busy_and_memory, parse_samples

# as nvidia-smi prints them: a busy card, one that does not report it (MIG), a line that was cut off when it was ended
SAMPLES = """2026/11/21 15:21:08.250, 0, 612
2026/11/21 15:21:08.451, 93, 1874
2026/11/21 15:21:08.651, [N/A], [N/A]
Unable to determine the device handle for GPU0000:01:00.0: Unknown Error
2026/11/21 15:21:08.851, 97, 18"""


def test_samples_are_read_with_their_time_and_other_lines_are_ignored():
    samples = parse_samples(SAMPLES, datetime(2026, 11, 21, 15, 21, 8))
    assert [round(sample.seconds, 3) for sample in samples] == [0.25, 0.451, 0.651]
    assert [sample.busy for sample in samples] == [0.0, 0.93, None]
    assert samples[2] == GpuSample(pytest.approx(0.651), None, None)
    assert busy_and_memory(samples) == (pytest.approx(0.465), pytest.approx(1965.0, abs=0.1))
    assert busy_and_memory([]) == (None, None)


def test_a_card_is_sampled_within_the_block_and_nvidia_smi_ends_after_it(nvidia_smi):
    nvidia_smi()
    with GpuWatch(every_ms=20) as watch:
        time.sleep(0.5)
    assert len(watch.samples) >= 3
    assert busy_and_memory(watch.samples) == (pytest.approx(0.8), pytest.approx(1048.6, abs=0.1))
    times = [sample.seconds for sample in watch.samples]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] < 2
    assert not [child for child in psutil.Process().children() if "nvidia-smi" in " ".join(child.cmdline())]


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 9\n", "#!/no/such/program\n"])
def test_a_failing_nvidia_smi_gives_no_samples(text, nvidia_smi):
    nvidia_smi(text)
    with GpuWatch() as watch:
        pass
    assert watch.samples == []
