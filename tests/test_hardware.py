"""The memory that is available, the NVIDIA cards, and how busy they are."""

import stat
import sys
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from bcclone.hardware import (
    Busy,
    Card,
    Watch,
    available_memory,
    find_cards,
    parse_cards,
    parse_samples,
    visible_cards,
    watched,
)

CARDS = "580.159.03, 612, 143771, NVIDIA H200, 9.0\n470.256.02, 3, 11441, Tesla K80, 3.7\n"
# as nvidia-smi prints them: a busy card, one that does not tell (MIG), a line that was cut off when it was ended
SAMPLES = """2026/11/21 15:21:08.250, 0, 612
2026/11/21 15:21:08.451, 93, 1874
2026/11/21 15:21:08.651, [N/A], [N/A]
Unable to determine the device handle for GPU0000:01:00.0: Unknown Error
2026/11/21 15:21:08.851, 97, 18"""
SMI = """#!{python}
import sys, time
from datetime import datetime
from pathlib import Path
if "{fields}" and any(word in " ".join(sys.argv) for word in "{fields}".split()):
    sys.exit('Field "compute_cap" is not a valid field to query.')
if any(one.startswith("--loop-ms") for one in sys.argv):
    assert "--id=0" in sys.argv
    while True:
        print(datetime.now().strftime("%Y/%m/%d %H:%M:%S.%f")[:-3] + ", 80, 1000", flush=True)
        time.sleep(0.02)
print("{line}")
"""


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Return a function that puts a program of that name, written by hand, on the PATH."""
    if sys.platform == "win32":
        pytest.skip("a script is no program there")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def put(text=None, line="580.159.03, 612, 143771, NVIDIA H200, 9.0", fields=""):
        program = tmp_path / "nvidia-smi"
        program.write_text(text or SMI.format(python=sys.executable, line=line, fields=fields))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path))

    return put


def test_cards_are_read_with_name_capability_and_memory():
    h200, k80 = parse_cards(CARDS)
    assert (h200.name, h200.compute_capability, h200.driver) == ("NVIDIA H200", (9, 0), "580.159.03")
    assert h200.memory_total_mb == pytest.approx(150_755, abs=1)
    assert k80.describe() == "Tesla K80 (compute capability 3.7, 0.0 of 12.0 GB used)"
    assert parse_cards("NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.\n") == []


def test_samples_are_read_with_their_time_and_other_lines_are_ignored():
    samples = parse_samples(SAMPLES, datetime(2026, 11, 21, 15, 21, 8))
    assert [round(sample.seconds, 3) for sample in samples] == [0.25, 0.451, 0.651]
    assert [sample.share for sample in samples] == [0.0, 0.93, None]
    assert samples[1].memory_mb == pytest.approx(1965.0, abs=0.1)
    assert samples[2] == Busy(pytest.approx(0.651), None, None)


def test_since_leaves_out_earlier_samples():
    watch = Watch([Busy(0.2, 0.1, 500.0), Busy(1.2, 0.9, 800.0), Busy(1.4, 0.7, 700.0)])
    later = watch.since(1.0)
    assert [sample.seconds for sample in later.samples] == pytest.approx([0.2, 0.4])
    assert later.share == pytest.approx(0.8)
    assert (later.memory_mb, watch.memory_mb) == (800.0, 800.0)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [(None, "abc"), ("", ""), ("-1", ""), ("1", "b"), ("2,0", "ca"), ("7", ""), ("GPU-8f3c", "abc")],
)
def test_cuda_visible_devices_decides_which_cards_a_program_uses(wanted, names):
    environment = {} if wanted is None else {"CUDA_VISIBLE_DEVICES": wanted}
    assert "".join(card.name for card in visible_cards([Card("a"), Card("b"), Card("c")], environment)) == names


def test_an_older_nvidia_smi_is_queried_without_unknown_fields(nvidia_smi):
    nvidia_smi()
    (card,) = find_cards()
    assert card.compute_capability == (9, 0)
    nvidia_smi(line="390.157, 10, 2000, GeForce GTX 680", fields="compute_cap")
    (card,) = find_cards()
    assert (card.name, card.compute_capability, card.driver) == ("GeForce GTX 680", None, "390.157")


@pytest.mark.parametrize(
    "text", ["#!/bin/sh\nexit 9\n", "#!/bin/sh\necho No devices were found\n", "#!/no/such/program\n"]
)
def test_a_failing_nvidia_smi_gives_no_cards(text, nvidia_smi):
    nvidia_smi(text)
    assert find_cards() == []
    with watched() as watch:
        pass
    assert watch.samples == []
    assert watch.share is None


@pytest.mark.skipif(Path("/usr/lib/wsl/lib/nvidia-smi").exists(), reason="found here outside the PATH")
def test_without_the_program_there_are_no_cards(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_cards() == []
    with watched() as watch:
        pass
    assert (watch.samples, watch.share, watch.memory_mb) == ([], None, None)


def test_a_card_is_sampled_within_the_block_and_nvidia_smi_ends_after_it(nvidia_smi):
    nvidia_smi()
    with watched(every_ms=20) as watch:
        time.sleep(0.5)
    assert len(watch.samples) >= 3
    assert watch.share == pytest.approx(0.8)
    assert watch.memory_mb == pytest.approx(1048.6, abs=0.1)
    times = [sample.seconds for sample in watch.samples]
    assert times == sorted(times)
    assert 0 <= times[0] <= times[-1] < 2
    assert not [child for child in psutil.Process().children() if "nvidia-smi" in " ".join(child.cmdline())]


def test_an_error_within_the_block_passes(nvidia_smi):
    nvidia_smi()
    with pytest.raises(ZeroDivisionError), watched():
        raise ZeroDivisionError


def test_in_a_container_it_is_the_rest_of_the_limit_and_cached_files(tmp_path):
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\ninactive_file 500000\nactive_file 7\n")
    assert available_memory(tmp_path) == 600_000


def test_without_a_limit_it_is_the_memory_of_the_system(tmp_path):
    system = available_memory(tmp_path)
    assert system > 1e6
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("900000\n")
    assert available_memory(tmp_path) > 0.5 * system
