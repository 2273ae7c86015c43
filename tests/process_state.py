"""What a whole process shares, as far as a program can notice that it has changed."""

import faulthandler
import gc
import locale
import logging
import os
import signal
import socket
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from pathlib import Path


def shared():
    """Return what this process shares, by its name.

    Of packages that are loaded, that is what a program can set there.
    """
    return _of_python() | _one_by_one() | _of_packages()


def differences(before):
    """Return what has changed since shared() gave `before`, as lines of text.

    A thread that was told to end may take some seconds to notice it.
    """
    until = time.monotonic() + 5
    while {thread.name for thread in threading.enumerate()} - before["threads"]:
        if time.monotonic() > until:
            break
        time.sleep(0.05)
    now = shared()
    return [
        f"{name}: {value!r} -> {now.get(name)!r}"
        for name, value in before.items()
        if now.get(name) != value
    ]


@contextmanager
def watched():
    """Yield a list that gets, as lines of text, what changes while the block runs, even if it is
    taken back.
    """
    changes = []
    before = _watched()
    ends = threading.Event()

    def watch():
        while not ends.is_set():
            now = _watched()
            changes.extend(
                f"meanwhile, {name}: {value!r} -> {now[name]!r}"
                for name, value in before.items()
                if now[name] != value
            )
            time.sleep(0.001)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield changes
    finally:
        ends.set()
        thread.join()
        changes[:] = dict.fromkeys(changes)


def _watched():
    state = {
        "standard output": (id(sys.stdout), os.fstat(1)[:3]),
        "standard error": (id(sys.stderr), os.fstat(2)[:3]),
        "current folder": Path.cwd(),
    }
    if "cv2" in sys.modules:
        import cv2

        state["OpenCV"] = cv2.getNumThreads()
    return state


def _one_by_one():
    """Return the loggers, the modules and the open files, each under a name of its own: there may
    be more of them afterwards.
    """
    loggers = {
        f"logger {name}": (logger.level, logger.disabled, logger.propagate, list(logger.handlers))
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    modules = {f"module {name}": id(module) for name, module in list(sys.modules.items())}
    links = Path("/proc/self/fd")
    files = {}
    if links.is_dir():
        # the listing itself opens a file, which is gone afterwards
        files = {f"file {link.name}": link.readlink() for link in links.iterdir() if link.exists()}
    return loggers | modules | files


def _of_python():
    mask = os.umask(0)
    os.umask(mask)
    wakeup = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(wakeup)
    root = logging.getLogger()
    return {
        "environment": dict(os.environ),
        "standard input": (id(sys.stdin), os.fstat(0)[:3]),
        "standard output": (id(sys.stdout), os.fstat(1)[:3]),
        "standard error": (id(sys.stderr), os.fstat(2)[:3]),
        "current folder": Path.cwd(),
        "umask": mask,
        "signals": {number: signal.getsignal(number) for number in signal.valid_signals()},
        "blocked signals": signal.pthread_sigmask(signal.SIG_BLOCK, []),
        "wake-up": wakeup,
        "warnings": (list(warnings.filters), warnings.showwarning),
        "root logger": (root.level, list(root.handlers), logging.root.manager.disable),
        "switching": sys.getswitchinterval(),
        "recursion": sys.getrecursionlimit(),
        "search path": list(sys.path),
        "finders": list(sys.meta_path),
        "threads": {thread.name for thread in threading.enumerate()},
        "hooks": (sys.excepthook, threading.excepthook, sys.displayhook),
        "collector": (gc.isenabled(), gc.get_threshold()),
        "fault handler": faulthandler.is_enabled(),
        "time of sockets": socket.getdefaulttimeout(),
        "locale": locale.setlocale(locale.LC_ALL),
        "yaml": id(sys.modules.get("yaml")),
        "moviepy.config": getattr(sys.modules.get("moviepy.config"), "__file__", None),
    }


def _of_packages():
    state = {}
    if "numpy" in sys.modules:
        import numpy as np

        kind, keys, *rest = np.random.get_state()
        state["numpy"] = (kind, keys.tolist(), rest, np.geterr(), np.get_printoptions())
    if "cv2" in sys.modules:
        import cv2

        state["OpenCV"] = (cv2.getNumThreads(), cv2.utils.logging.getLogLevel())
    if "matplotlib" in sys.modules:
        import matplotlib

        state["matplotlib"] = dict(matplotlib.rcParams)
    if "PIL.Image" in sys.modules:
        import PIL.Image
        import PIL.ImageFile

        state["Pillow"] = (PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES)
    if "tensorflow" in sys.modules:
        import tensorflow as tf

        state["TensorFlow"] = (
            tf.config.threading.get_intra_op_parallelism_threads(),
            tf.config.threading.get_inter_op_parallelism_threads(),
            tf.config.get_visible_devices(),
            tf.config.get_soft_device_placement(),
            tf.config.functions_run_eagerly(),
            tf.config.optimizer.get_jit(),
            tf.get_logger().level,
        )
    if "keras" in sys.modules:
        import keras

        state["Keras"] = (
            keras.config.dtype_policy().name,
            keras.config.floatx(),
            keras.config.image_data_format(),
            keras.config.is_interactive_logging_enabled(),
            keras.config.is_traceback_filtering_enabled(),
        )
    return state
