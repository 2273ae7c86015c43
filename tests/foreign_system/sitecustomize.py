"""Let bcclone's code meet Windows' differences on Linux.

Python imports this module when its folder is in PYTHONPATH. What other packages see is left alone.
bcclone's modules, and those of the tests where these are collected, see:

- `sys.platform` win32 and `os.name` nt, without the functions of `os` and `signal` that Windows
  lacks
- no modules `fcntl`, `resource`, `pwd`, `grp`, `pty`, `termios`
- CRLF in text files that are written without a `newline`, and cp1252 in those opened without an
  `encoding`
- PermissionError when a file that this process has open or mapped is removed or replaced, or a
  folder that holds one
- FileExistsError when something is renamed to a name that exists, PermissionError when a folder is
  to replace a folder
- OSError for a new file or folder whose name Windows forbids

It does not show: paths with drives and backslashes, case-insensitive names, files that another
process has open, and what the packages do differently.
"""

import builtins
import contextlib
import errno
import io
import os
import re
import signal
import sys
import types
from pathlib import Path

_OURS = str(Path(__file__).parents[2] / "bcclone") + os.sep
_MODULES = {"fcntl", "resource", "pwd", "grp", "pty", "termios"}
_OF_OS = {
    "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "chown", "fchmod", "fchown", "fork",
    "forkpty", "geteuid", "getloadavg", "getpgid", "getuid", "killpg", "mkfifo", "nice",
    "posix_fadvise", "posix_fallocate", "pread", "preadv", "pwrite", "sched_getaffinity",
    "sched_setaffinity", "sendfile", "setsid", "statvfs", "sync", "uname", "wait3", "wait4",
}  # fmt: skip
_OF_SIGNAL = {
    "SIGKILL",
    "SIGUSR1",
    "SIGUSR2",
    "SIGHUP",
    "SIGALRM",
    "SIGPIPE",
    "SIGCHLD",
    "setitimer",
    "alarm",
    "pthread_sigmask",
}
_FORBIDDEN = re.compile(r'[<>:"|?*\\]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$', re.IGNORECASE)


class _Foreign(types.ModuleType):
    """A module as Windows has it: the real one, without some names and with other values for
    some.
    """

    def __init__(self, real, missing=(), **values):
        super().__init__(real.__name__)
        self.__dict__["_foreign"] = real, set(missing), values

    def __getattr__(self, name):
        real, missing, values = self.__dict__["_foreign"]
        if name in missing:
            raise AttributeError(
                f"module {real.__name__!r} has no attribute {name!r} on this system"
            )
        return values[name] if name in values else getattr(real, name)

    def __setattr__(self, name, value):
        setattr(self.__dict__["_foreign"][0], name, value)

    def __dir__(self):
        real, missing, _ = self.__dict__["_foreign"]
        return [name for name in dir(real) if name not in missing]


_FOREIGN = {
    "os": _Foreign(os, _OF_OS, name="nt", linesep="\r\n"),
    "signal": _Foreign(signal, _OF_SIGNAL),
    "sys": _Foreign(sys, platform="win32"),
}
_import = builtins.__import__
_open = io.open
_rename = os.rename
_replace = os.replace
_mkdir = os.mkdir


def _import_as_on_windows(name, globals=None, locals=None, fromlist=(), level=0):
    if not level and str((globals or {}).get("__name__", "")).partition(".")[0] in (
        "bcclone",
        "tests",
    ):
        if name in _MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        if name in _FOREIGN:
            return _FOREIGN[name]
    return _import(name, globals, locals, fromlist, level)


def _asked_by_us():
    """Return whether code of bcclone called this, directly or through the standard library."""
    frame = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith(_OURS):
            return True
        if "site-packages" in file:
            return False
        frame = frame.f_back
    return False


def _open_as_on_windows(
    file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, *others, **more
):
    if _asked_by_us():
        if (
            isinstance(file, str | os.PathLike)
            and set(mode) & set("wax")
            and _FORBIDDEN.search(Path(file).name)
        ):
            raise OSError(errno.EINVAL, "Invalid argument", str(file))
        if "b" not in mode:
            encoding = "cp1252" if encoding in (None, "locale") else encoding
            if newline is None and set(mode) & set("wax+"):
                newline = "\r\n"
    return _open(file, mode, buffering, encoding, errors, newline, *others, **more)


def _in_use(path):
    """Return an open or mapped file of this process that is the path or in that folder, None when
    there is none.
    """
    with _open("/proc/self/maps", errors="replace") as maps:
        used = [line.partition("/")[2].rstrip("\n") for line in maps if str(path) in line]
    targets = [Path(f"/{name}") for name in used]
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            targets.append(entry.readlink())
    return next((str(one) for one in targets if one.is_relative_to(path) and one.is_file()), None)


def _guarded(real):
    def guarded(path, *others, **more):
        if _asked_by_us():
            folder = more.get("dir_fd", more.get("src_dir_fd"))
            base = Path.cwd() if folder is None else Path(f"/proc/self/fd/{folder}").readlink()
            for one in (path, *others):
                if (used := _in_use(base / os.fspath(one))) is not None:
                    raise PermissionError(
                        errno.EACCES, "The process cannot access the file; it is in use", used
                    )
            if real is _rename and Path(others[0]).exists():
                raise FileExistsError(
                    errno.EEXIST, "Cannot create a file when that file already exists", others[0]
                )
            if real is _replace and Path(others[0]).is_dir():
                raise PermissionError(errno.EACCES, "Access is denied", others[0])
        return real(path, *others, **more)

    return guarded


def _mkdir_as_on_windows(path, *others, **more):
    if _asked_by_us() and _FORBIDDEN.search(Path(path).name):
        raise OSError(errno.EINVAL, "Invalid argument", path)
    return _mkdir(path, *others, **more)


builtins.__import__ = _import_as_on_windows
builtins.open = io.open = _open_as_on_windows
os.mkdir = _mkdir_as_on_windows
for _name in ("replace", "rename", "unlink", "remove"):
    setattr(os, _name, _guarded(getattr(os, _name)))
