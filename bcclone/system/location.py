"""Read and write paths and URLs alike.

parse_location() makes a `Location` of a text: a local path is a pathlib.Path, and a URL a
upath.UPath, which has the same methods. Many files at URLs are read in parallel.
"""

import errno
import itertools
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard, Union

from bcclone.system.errors import UserError, first_line, similar_names
from bcclone.system.secret_words import without_password

if TYPE_CHECKING:  # it loads fsspec, which local paths do not need
    from upath import UPath

Location: TypeAlias = Union[Path, "UPath"]  # noqa: UP007 "UPath" in quotes is a str, which has no |

_EXPECTED = "expected a path, or a URL such as s3://BUCKET/FOLDER"
_REMEDY = (
    "check the URL, the server and your credentials "
    "(of s3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL)"
)
# where fsspec reads the user and password of a server instead
_PASSWORD = "set FSSPEC_{0}_USERNAME and FSSPEC_{0}_PASSWORD in the environment"
_OF_HTTP = (
    "write it into ~/.netrc (machine HOST login USER password PASSWORD), and set FSSPEC_{0} in the "
    'environment to {{"client_kwargs": {{"trust_env": true}}}}'
)
_OF_S3 = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
_PASSWORDS = {"HTTP": _OF_HTTP, "HTTPS": _OF_HTTP, "S3": _OF_S3}


def parse_location(text: str | Path) -> Location:
    """Return the path or URL that a text names.

    Raises UserError for a URL of an unknown protocol, of one whose package is missing, or with a
    password, a token or a signature. It asks no server: the text may come from somebody's store,
    and be a URL that the user does not expect.
    """
    if isinstance(text, Path) or not names_url(text):
        return Path(text)
    if (safe := without_password(text)) != text:
        # it would stand in the store, and in what is made of it
        protocol = text.partition("://")[0].upper()
        remedy = _PASSWORDS.get(protocol, _PASSWORD).format(protocol)
        if "=YOUR-PASSWORD" in safe:
            remedy = "download what it names, and give the path of the file"
        raise UserError(
            f"{safe}: expected a URL without a password, a token or a signature, which others "
            f"would read in the files that come of it; {remedy}"
        )
    if not text.partition("://")[2].strip("/"):
        raise UserError(f"{text}: names no server, bucket or file; {_EXPECTED}")
    from fsspec import get_filesystem_class
    from upath import UPath

    try:
        # listings of folders are not cached, because other processes may write there, too
        url = UPath(text.rstrip("/"), use_listings_cache=False)
        if url.protocol in ("file", "local"):
            return Path(url.path)
        get_filesystem_class(url.protocol)  # raises ImportError if its package is missing
        return url
    except ImportError as error:
        remedy = "pip install 'bcclone[s3]'" if text.startswith("s3") else "install that package"
        raise UserError(f"{text}: {error}: {remedy}") from None
    except ValueError as error:
        raise UserError(f"{text}: {error}; {_EXPECTED}") from None


def is_url(location: Location) -> "TypeGuard[UPath]":
    return not isinstance(location, Path)


def names_url(text: str) -> bool:
    """Return whether a text is a URL and not a local path."""
    return "://" in text


def as_local(location: Location | str) -> Path:
    """Return a local path, also for file:///tmp/data.h5; raises ValueError for any other URL."""
    if isinstance(location, str):
        location = parse_location(location)
    if not isinstance(location, Path):
        raise ValueError(
            f"{location} is a URL, expected a local path; copy it to this machine first"
        )
    return location


# ---- names of files


def is_hidden(name: str) -> bool:
    """Return whether a listing leaves a name out, such as the `._NAME` that macOS adds on disks."""
    return name.startswith(".")


def normal_name(name: str) -> str:
    """Return the name of a file as people read it, by which two spellings of it are compared.

    Bytes that are no UTF-8 are read as Windows-1252, as old programs on Windows wrote them. An
    accent, which macOS writes as a character of its own, is put together with its letter.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        name = os.fsencode(name).decode("cp1252", errors="replace")
    return unicodedata.normalize("NFC", name)


def did_you_mean_beside(missing: Location, is_one: Callable[[Path], bool]) -> str:
    """Return a question for a missing path, such as "did you mean runs/model.h5?".

    Returns "" if nothing of this kind beside it has a similar name, and for a URL.

    is_one: returns whether a path is of the kind that is expected
    """
    if not isinstance(missing, Path) or not missing.parent.is_dir():
        return ""
    names = [path.name for path in missing.parent.iterdir()]
    near = map(missing.with_name, similar_names(missing.name, names))
    return next((f"did you mean {path}?" for path in near if is_one(path)), "")


def free_name(name: str | Path) -> str:
    """Return a name that nothing has yet: this one, or the next like it, run2 after run1.

    A shown command that writes is refused where its output exists. A folder that is not called by
    its name, such as `..`, gets a new name in it.
    """
    path = Path(name)
    if path.name in ("", ".."):
        path /= "new"
    stem = path.stem.rstrip("0123456789")
    numbers = itertools.count(int(path.stem[len(stem) :] or 1) + 1)
    while os.path.lexists(path):
        path = path.with_name(f"{stem}{next(numbers)}{path.suffix}")
    return str(path)


# ---- files at URLs


@contextmanager
def reaching(location: Location | str) -> Iterator[None]:
    """Raise UserError for an error of the connection to a URL; other errors stay as they are."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        is_far = names_url(location) if isinstance(location, str) else is_url(location)
        # The package of an error's class shows the cause. An error of one of these packages comes
        # from reading the content, unless it is an OSError. Any other error, such as one of
        # botocore, comes from the connection.
        package = type(error).__module__.partition(".")[0]
        is_of_content = package in ("builtins", "bcclone", "h5py", "numpy", "json")
        if not is_far or (is_of_content and not isinstance(error, OSError)):
            raise
        # what is fetched is written to this machine's disk, which may be full
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EFBIG):
            raise
        raise UserError(f"{location}: cannot be reached: {first_line(error)}; {_REMEDY}") from None


def read_urls(urls: Sequence[str]) -> list[bytes | OSError]:
    """Read small files, at URLs of one protocol, in parallel; raises UserError.

    Returns for each file its bytes, or the error if it is missing or may not be read.
    """
    if not urls:
        return []
    from fsspec.core import strip_protocol

    folder: Any = parse_location(urls[0])
    paths = [strip_protocol(url) for url in urls]
    whole = [None] * len(urls)  # None as first and as last byte: the whole file
    with reaching(urls[0]):
        contents = folder.fs.cat_ranges(paths, whole, whole, on_error="return")
    for url, content in zip(urls, contents, strict=True):
        with reaching(url):
            is_of_file = isinstance(content, (FileNotFoundError, PermissionError))
            if isinstance(content, Exception) and not is_of_file:
                raise content
    return list(contents)


def check_writable(folder: Location) -> None:
    """Raise UserError if no file can be written in a folder at a URL; call it before long work."""
    probe = folder / ".bcclone-probe"
    with reaching(folder):
        try:
            probe.write_bytes(b"")
            probe.unlink()
        except NotImplementedError:
            raise UserError(
                f"{folder}: URLs of this kind cannot be written; "
                "choose a path or s3://BUCKET/FOLDER"
            ) from None
