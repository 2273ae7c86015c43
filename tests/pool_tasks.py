"""Functions for the workers of a task pool."""

import os
import sys
import time
from pathlib import Path

from bcclone.system.errors import UserError
from bcclone.system.pool import WorkerFault, report_progress


def square(number):
    for _ in range(number):
        report_progress(1)
    return number * number


def module_path(_):
    return sys.path


def refuse_three(number):
    if number == 3:
        raise UserError("three.csv: cannot be read", exit_code=2)
    return number


def divide_by(number):
    return 1 / number


def fault_twice(file):
    count = len(file.read_text()) if file.exists() else 0
    file.write_text("x" * (count + 1))
    if count < 2:
        raise WorkerFault("/data: not mounted")
    return count


def fault_always(file):
    raise WorkerFault(f"{file}: the disk is full")


def end_process(number):
    os._exit(1)


def wait_for_file(file):
    """Leave a file named after this process, then wait for another; return the name of that."""
    (Path(file).parent / f"{os.getpid()}.pid").touch()
    while not Path(file).exists():
        report_progress(0.1)
        time.sleep(0.05)
    return file


def start_a_process(text):
    import subprocess
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        number = pool.submit(len, text).result()
    return subprocess.run(
        ["echo", f"{text} {number}"], capture_output=True, text=True, check=True
    ).stdout.strip()
