"""The cores and memory that a container leaves, and the NVIDIA cards of the machine."""

import pytest

from bcclone.system.hardware import available_memory, find_cards, parse_cards, usable_cores

CARDS = "580.159.03, 612, 143771, NVIDIA H200, 9.0\n470.256.02, 3, 11441, Tesla K80, 3.7\n"


def test_cards_are_read_with_name_capability_and_memory():
    h200, k80 = parse_cards(CARDS)
    assert (h200.name, h200.compute_capability, h200.driver) == (
        "NVIDIA H200",
        (9, 0),
        "580.159.03",
    )
    assert h200.memory_total_mb == pytest.approx(150_755, abs=1)
    assert k80.describe() == "Tesla K80 (compute capability 3.7, 0.0 of 12.0 GB used)"
    (unknown,) = parse_cards("535.1, [N/A], [N/A], GRID T4, [N/A]")
    assert (unknown.compute_capability, unknown.describe()) == (None, "GRID T4")
    assert (
        parse_cards(
            "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.\n"
        )
        == []
    )


@pytest.mark.parametrize(
    ("wanted", "names"),
    [(None, "abc"), ("-1", ""), ("", ""), ("2, 0", "ca"), ("7", ""), ("GPU-8f3c", "abc")],
)
def test_cuda_visible_devices_decides_which_cards_a_program_uses(
    wanted, names, nvidia_smi, monkeypatch
):
    lines = "\n".join(f"580.1, 612, 143771, {name}, 9.0" for name in "abc")
    nvidia_smi(f"#!/bin/sh\necho '{lines}'")
    if wanted is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", wanted)
    assert "".join(card.name for card in find_cards()) == names


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 9", "#!/bin/sh\necho No devices were found"])
def test_a_failing_nvidia_smi_gives_no_cards(text, nvidia_smi):
    nvidia_smi(text)
    assert find_cards() == []


def test_available_memory_in_a_container_is_what_its_limit_leaves(tmp_path):
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 300000\ninactive_file 500000\nactive_file 7\n")
    assert available_memory(tmp_path) == 600_000
    (tmp_path / "memory.max").write_text("max\n")
    assert available_memory(tmp_path) > 1e6


def test_available_memory_in_a_container_of_version_1(tmp_path):
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("1000000\n")
    (folder / "memory.usage_in_bytes").write_text("900000\n")
    (folder / "memory.stat").write_text("inactive_file 3\ntotal_inactive_file 500000\n")
    assert available_memory(tmp_path) == 600_000
    (folder / "memory.limit_in_bytes").write_text("9223372036854771712\n")  # no limit
    assert available_memory(tmp_path) > 1e6


@pytest.mark.parametrize(
    ("version", "quota", "is_limited"),
    [(2, "50000", True), (2, "100000", True), (2, "max", False), (1, "50000", True)]
    + [(1, "-1", False), (1, "6400000000", False)],
)
def test_a_containers_share_of_processor_time_limits_the_cores(
    version, quota, is_limited, tmp_path
):
    if version == 2:
        (tmp_path / "cpu.max").write_text(f"{quota} 100000\n")
    else:
        (tmp_path / "cpu").mkdir()
        (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
        (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    all_cores = usable_cores(tmp_path / "none")
    assert usable_cores(tmp_path) == (1 if is_limited else all_cores)
