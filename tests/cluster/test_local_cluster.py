"""`--scheduler local:N` runs programs for nobody but the command that started it."""

import asyncio
import os
import ssl
import stat
import sys
from pathlib import Path

import psutil
import pytest
from distributed import Security
from distributed.comm import connect

from bcclone.cluster.dask_workers import open_pool
from bcclone.system.errors import UserError
from tests import pool_tasks

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def pool():
    with open_pool("local:1") as pool:
        yield pool


def listening():
    """Return where this process and its children listen."""
    me = psutil.Process()
    processes = [me, *me.children(recursive=True)]
    connections = [each for process in processes for each in process.net_connections()]
    return {each.laddr for each in connections if each.status == psutil.CONN_LISTEN}


def connects(address, security):
    """Return whether a program that speaks Dask's protocol is let in at an address."""

    async def attempt():
        comm = await connect(address, timeout=1, **security.get_connection_args("client"))
        await comm.write({"op": "identity", "reply": True})
        answer = await comm.read()
        await comm.close()
        return answer

    try:
        return bool(asyncio.run(asyncio.wait_for(attempt(), 3)))
    except (OSError, TimeoutError, ssl.SSLError):
        return False


def test_it_listens_on_loopback_only(pool):
    assert {address.ip for address in listening()} == {"127.0.0.1"}


@pytest.mark.parametrize("protocol", ["tcp", "tls"])
def test_another_user_of_the_machine_is_refused_at_every_port(pool, protocol):
    stranger = Security.temporary() if protocol == "tls" else Security()
    ports = sorted(address.port for address in listening())
    assert len(ports) >= 3  # of the scheduler, the worker and its nanny
    assert [port for port in ports if connects(f"{protocol}://127.0.0.1:{port}", stranger)] == []


def test_modules_are_imported_from_no_folder_that_another_user_can_write_to(pool):
    """Dask puts its folder of temporary files in front of sys.path."""
    ((_, of_worker),) = pool.run(pool_tasks.module_path, [None])
    scratch = [each for each in (*sys.path, *of_worker) if "dask-scratch-space" in each]
    assert len(scratch) >= 3  # of the scheduler, the worker and its nanny
    for folder in {Path(each.partition("dask-scratch-space")[0]) for each in scratch}:
        assert folder.stat().st_uid == os.getuid()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_the_package_that_makes_keys_nothing_is_started(monkeypatch):
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with (
        pytest.raises(UserError, match=r"needs the package cryptography.*bcclone\[cluster\]"),
        open_pool("local:1"),
    ):
        pass
