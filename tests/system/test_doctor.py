"""bcclone doctor names what is missing and how to fix it, quickly and without a traceback."""

import os
import re
import socket
import sys
import tomllib

import pytest
from packaging.specifiers import SpecifierSet

from bcclone.system.doctor import (
    PYTHONS,
    check_computed,
    check_cuda,
    check_devices,
    check_folder,
    check_packages,
)
from bcclone.system.hardware import Card
from tests.processes import imported_by, said
from tests.running import ROOT, command, result_of, run_script


@pytest.fixture
def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def test_json_and_table_report_the_same_checks(free_port):
    report = result_of("doctor", "--port", free_port)
    assert report["ok"] is True
    assert {"python", "tensorflow", "port", "folder", "memory", "accelerator", "ffmpeg"} <= {
        check["name"] for check in report["checks"]
    }
    rows = [
        line
        for line in run_script("doctor", "--port", free_port).stdout.splitlines()
        if line[:1].strip()
    ]
    for check, row in zip(report["checks"], rows, strict=False):
        assert list(check) == ["name", "state", "found", "advice"]
        assert row.split()[0] == check["name"].split()[0]
    assert len(rows) == len(report["checks"]) + 1
    assert rows[-1].startswith("nothing failed")


def test_a_taken_port_fails_with_advice_on_the_next_line():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        lines = run_script("doctor", "--port", port, code=1).stdout.splitlines()
        assert result_of("doctor", "--port", port, code=1)["ok"] is False
    (row,) = [number for number, line in enumerate(lines) if line.startswith("port ")]
    assert lines[row].split(None, 2)[1:] == ["FAILED", f"127.0.0.1:{port} is in use"]
    assert lines[row + 1].lstrip().startswith("-> stop the program that listens there")
    assert "4567" in lines[row + 1]
    assert lines[-1].startswith("1 failed")


def test_tensorflow_is_not_loaded(free_port):
    assert not imported_by(*command("doctor", "--port", free_port)) & {
        "tensorflow",
        "keras",
        "numpy",
    }


@pytest.mark.slow
def test_full_computes_at_least_on_the_cpu(free_port):
    checks = result_of("doctor", "--full", "--port", free_port)["checks"]
    (found,) = [check["found"] for check in checks if check["name"] == "accelerator"]
    assert found.startswith("TensorFlow computes on CPU:0")


def test_a_tensorflow_that_crashes_is_reported(tmp_path, monkeypatch):
    (tmp_path / "tensorflow.py").write_text("import os; os._exit(132)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    (check,) = check_devices()
    assert check.state == "failed"
    assert check.found == "TensorFlow cannot be loaded: exit code 132"
    assert "AVX" in check.advice


def test_a_file_is_no_folder_to_write_into(tmp_path):
    (tmp_path / "file").write_text("")
    (failed,) = check_folder(tmp_path / "file")
    assert failed.state == "failed"
    assert f"{tmp_path / 'file'}: cannot write there" in failed.found


def test_doctor_runs_without_any_package_and_advises_what_to_install(free_port):
    done = said(
        sys.executable, "-S", "-m", "bcclone", "doctor", "--port", free_port, cwd=ROOT, env={}
    )
    assert done.returncode == 1
    assert not done.stderr
    assert "pip install -c constraints.txt -e ." in done.stdout
    assert "ffmpeg" in done.stdout


def test_missing_and_old_packages_fail_with_the_command_that_installs_them():
    missing, old = check_packages(["no-such-package-anywhere>=1.2", "packaging<2,>=1"])
    assert (missing.state, missing.found) == ("failed", "missing, needs >=1.2")
    assert missing.advice == 'python -m pip install "no-such-package-anywhere>=1.2"'
    assert old.state == "failed"
    assert old.found.endswith("needs <2,>=1")
    assert old.advice == 'python -m pip install "packaging<2,>=1"'
    others = ["no-such-package-anywhere; python_version < '3'", "nor-this; extra == 'gpu'"]
    assert list(check_packages(others)) == []


def test_the_supported_pythons_are_those_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = SpecifierSet(project["requires-python"])
    for minor in range(20):
        assert (PYTHONS[0] <= (3, minor) <= PYTHONS[1]) == declared.contains(f"3.{minor}.0")


H200 = [Card("NVIDIA H200", (9, 0), driver="570.1")]


@pytest.mark.parametrize(
    ("check", "state", "report"),
    [
        (next(check_cuda([])), "ok", "computes on the CPU"),
        (check_computed({"CPU:0": "", "GPU:0": ""}, H200), "ok", "CPU:0, GPU:0"),
        (check_computed({"CPU:0": ""}, H200), "warning", 'pip install -e ".[gpu]" (on Windows'),
        (check_computed({"CPU:0": "", "GPU:0": "oom"}, H200), "failed", "GPU:0: oom"),
    ],
)
def test_each_finding_is_ok_a_warning_or_a_failure(check, state, report):
    assert check.state == state
    assert report in check.found + check.advice


def test_the_page_names_the_cudnn_that_is_installed():
    pinned = re.search(r"nvidia-cudnn-cu12==[\d.]+", (ROOT / "constraints.txt").read_text())
    assert f"`{pinned[0]}`" in (ROOT / "docs/how-to/install.md").read_text()
