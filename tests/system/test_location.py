"""Paths and URLs: parsed, read and written alike; an unreachable server is told in one line."""

from pathlib import Path

import pytest

from bcclone.system.errors import UserError
from bcclone.system.location import (
    as_local,
    check_writable,
    free_name,
    is_url,
    parse_location,
    reaching,
    read_urls,
)
from tests.s3 import forget_connections


@pytest.fixture
def folder(request):
    """An empty folder at a URL, in the memory of this process."""
    folder = parse_location(f"memory://{request.node.name}")
    yield folder
    folder.fs.store.clear()


@pytest.mark.parametrize("text", ["data.h5", "a/b", "/tmp/x", "file:///tmp/x", "C:/data.h5"])
def test_local_paths_are_paths(text):
    location = parse_location(text)
    assert isinstance(location, Path)
    assert not is_url(location)
    assert as_local(text) == Path(text.removeprefix("file://"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo://x/y", "foo://x/y.*s3://BUCKET"),
        ("gs://x/y", "gs://x/y.*gcsfs"),
        ("s3:///", "s3:///: names no server, bucket or file"),
    ],
)
def test_a_url_of_an_unknown_kind_or_without_its_package_or_of_nothing_is_refused(text, words):
    with pytest.raises(UserError, match=words):
        parse_location(text)
    location = parse_location("memory://bucket/store/")
    assert str(location / "store.json") == "memory://bucket/store/store.json"
    with pytest.raises(ValueError, match="memory://bucket/store is a URL.*copy it"):
        as_local(location)


def test_a_folder_is_writable_or_not_and_errors_of_programs_stay_as_they_are(folder, tmp_path):
    check_writable(folder)
    assert not list(folder.fs.find(folder.path))
    with pytest.raises(UserError, match=r"http://127.0.0.1:9/x.*cannot be written"):
        check_writable(parse_location("http://127.0.0.1:9/x"))
    with pytest.raises(FileNotFoundError), reaching(tmp_path):
        (tmp_path / "none").read_bytes()
    with pytest.raises(KeyError), reaching(folder):
        raise KeyError("a")


def test_several_files_are_read_at_once(folder):
    for name in "ab":
        (folder / name).write_bytes(name.encode() * 10)
    assert read_urls([]) == []
    whole, missing = read_urls([str(folder / "b"), str(folder / "c")])
    assert whole == b"b" * 10
    assert isinstance(missing, FileNotFoundError)


@pytest.mark.slow
def test_an_unreachable_server_and_missing_credentials_are_told_in_one_line(monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    for reason in ("127.0.0.1:9", "credentials"):
        forget_connections()
        with (
            pytest.raises(
                UserError, match=f"s3://bucket/a: cannot be reached: .*{reason}"
            ) as refused,
            reaching(url := parse_location("s3://bucket/a")),
        ):
            url.read_bytes()
        assert len(str(refused.value).splitlines()) == 1
        monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    forget_connections()


@pytest.mark.parametrize(
    ("name", "free"),
    [("run7", "run8"), ("run", "run2"), (".", "new"), ("..", "../new"), ("no", "no")],
)
def test_a_free_name_is_of_nothing_yet(name, free, tmp_path, monkeypatch):
    here = tmp_path / "here"
    for folder in (here / "run7", here / "run"):
        folder.mkdir(parents=True)
    monkeypatch.chdir(here)
    assert free_name(name) == str(Path(free))
    (here / "new").mkdir()
    assert free_name(".") == "new2"
