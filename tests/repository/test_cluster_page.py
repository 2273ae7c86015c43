"""The commands of docs/how-to/cluster.md, run one after the other as the page says, with smaller
data.
"""

import os
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from itertools import groupby

import pytest

from bcclone.dataset.shards import open_store
from tests.processes import free_addresses
from tests.repository.shown import shown_on
from tests.running import ROOT, command

PAGE = ROOT / "docs" / "how-to" / "cluster.md"
PORTS = ("8786", "8787", "2345", "2346")
SMALLER = {"--laps": "0.1", "--epochs": "1", "--shard-mb": "1"}


def commands_of_the_page():
    return [one.text for one in shown_on(PAGE) if (one.why_not or "").startswith("one by one")]


def words_of(text, ports):
    """Return the words of a command, with smaller numbers and free ports."""
    for shown, free in ports.items():
        text = text.replace(f":{shown}", f":{free}").replace(f"--port {shown}", f"--port {free}")
    words = shlex.split(text)
    for at, word in enumerate(words[:-1]):
        words[at + 1] = SMALLER.get(word, words[at + 1])
    if "evaluate" in words:
        words += ["--laps", "0.02"]
    if words[0] == "dask":
        return [sys.executable, "-m", "dask", *words[1:]]
    return command(*(word for word in words if word not in ("python", "bcclone")))


@contextmanager
def running(line, folder, output=subprocess.PIPE):
    """Run a command, and end it and its children at the end."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DASK_TEMPORARY_DIRECTORY": str(folder)}
    process = subprocess.Popen(
        line,
        cwd=folder,
        env=environment,
        stdout=output,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        if process.stdout:
            process.stdout.close()


def kind_of(text):
    """Return what a command is a part of, so that those of a training run side by side."""
    return "dask" if text.startswith("dask") else "training" if "--worker-index" in text else text


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_page_leads_from_nothing_to_a_model_that_drives(tmp_path):
    free = [address.rpartition(":")[2] for address in free_addresses(len(PORTS))]
    ports = dict(zip(PORTS, free, strict=True))
    with ExitStack() as cluster:
        for kind, texts in groupby(commands_of_the_page(), kind_of):
            lines = [words_of(text, ports) for text in texts]
            if kind == "dask":
                for line in lines:
                    cluster.enter_context(running(line, tmp_path, subprocess.DEVNULL))
                continue
            with ExitStack() as together:
                processes = [together.enter_context(running(line, tmp_path)) for line in lines]
                for line, process in zip(lines, processes, strict=True):
                    output, _ = process.communicate(timeout=300)
                    assert process.returncode == 0, f"{line}\n{output}"
    with open_store(tmp_path / "laps") as store:
        assert len(store.frames.files) > 1
        assert len(store.recordings) == 2
    assert (tmp_path / "model.h5").is_file()
