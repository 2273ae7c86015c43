"""Available memory: that of the system, within the limit of a container."""

from bcclone.memory import available_memory


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
