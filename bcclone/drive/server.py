"""Run a drive server: open the model, listen, and serve the car and the web page until the server is stopped."""

import socket
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing
from importlib import import_module
from typing import Any, cast

from bcclone.drive.dashboard.app import make_app
from bcclone.drive.dashboard.page_state import Dashboard
from bcclone.drive.drive_settings import DriveResult, DriveSettings, is_this_machine
from bcclone.drive.driver import ModelPolicy
from bcclone.drive.session import open_session
from bcclone.drive.watch import Watch
from bcclone.drive.wire import limits
from bcclone.drive.wire.access import Access, guarded
from bcclone.drive.wire.listener import Notifier, address_of, listen, logging_errors, marking_requests, url_of
from bcclone.drive.wire.service import DriveService, Host
from bcclone.system.errors import UserError
from bcclone.system.interrupts import StopSocket


def serve(
    settings: DriveSettings,
    notify: Callable[[str], None] = print,
    stop: threading.Event | None = None,
    open_watch: Callable[[], Watch] | None = None,
) -> DriveResult:
    """Serve a model to the simulators that connect, until Ctrl-C, SIGTERM or `stop`; return the result.

    notify: called with lines for the user, never by two threads at a time, and not after serve() has returned; stop: an
    event that any thread may set to end the drive; open_watch: called once TensorFlow is loaded, returns what watches
    the drive. Signals are handled if this is called in the main thread. Raises
    UserError when the model, the address or the run folder cannot be used.
    """
    from bcclone.system.tensorflow_quietly import describe_devices, load_tensorflow

    load_tensorflow(threads=1)  # for single frames a fifth faster than two, and leaves a core to the simulator
    from bcclone.model.policy import load_policy

    policy = load_policy(settings.model, settings.preprocess)
    notify(f"{settings.model}: frames are prepared as {policy.preprocessing.describe()}")
    if settings.run_folder is None:
        notify(f"nothing is recorded; name a folder to record into: python drive.py {settings.model} run1")
    if (device := describe_devices()) != "CPU":
        notify(f"driving on {device}")
    if not is_this_machine(settings.host):
        notify(f"warning: every machine that knows the token can use {settings.host}; the token is sent unencrypted")
    return serve_policy(policy, settings, notify, stop, open_watch() if open_watch else None)


def serve_policy(
    policy: ModelPolicy,
    settings: DriveSettings,
    notify: Callable[[str], None] = print,
    stop: threading.Event | None = None,
    watch: Watch | None = None,
) -> DriveResult:
    """Do as serve() does, with a policy that is open already. watch: judges each frame."""
    host = _host(settings.async_mode)
    if settings.async_mode == "eventlet":
        notify("note: eventlet's support, and this mode, end in April 2027; without --async-mode, threads serve")
    with (
        closing(listen(settings.host, settings.port)) as listener,
        open_session(policy, settings, watch) as session,
        closing(Notifier(notify)) as notifier,
    ):
        _allow_files()
        access = Access(settings.host, settings.token, settings.allow_from)
        service = DriveService(session, settings.async_mode, host, access, notifier.notify)
        page = make_app(Dashboard(session, service), access, service.sleep)
        inner = marking_requests(service.with_page(page), service.connections)
        app = logging_errors(guarded(inner, access, service.sleep))
        with StopSocket(stop) as stop_socket:
            service.start_background_task(service.watch)
            notifier.notify(_listening(listener))
            host.run(app, listener, service.connections, stop_socket)
            service.stop()
    return session.result()


def _host(async_mode: str) -> Host:
    """Return the module that serves in this mode.

    eventlet makes a copy of `threading` when it is imported, and join() on the importing thread then never returns.
    So a thread of its own imports it, unless this is the main thread. Raises UserError when the package is missing.
    """
    name = f"bcclone.drive.wire.{async_mode}_host"
    loaded: Future[Any] = Future()

    def load() -> None:
        try:
            loaded.set_result(import_module(name))
        except BaseException as error:
            loaded.set_exception(error)

    if threading.current_thread() is threading.main_thread():
        load()
    else:
        threading.Thread(target=load, daemon=True).start()
    try:
        return cast(Host, loaded.result())
    except ModuleNotFoundError as error:
        if not error.name or error.name.partition(".")[0] != async_mode:
            raise
        raise UserError(
            f"--async-mode {async_mode} needs a package that is not installed: pip install {async_mode}; or leave the "
            "option out, to serve with threads"
        ) from None


def _allow_files() -> None:
    """Raise the limit of open files for this process to what `limits` needs, where the system has one."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.FILES if hard == resource.RLIM_INFINITY else min(limits.FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _listening(listener: socket.socket) -> str:
    return (
        f"listening on {address_of(listener)}; start the simulator, choose a track and AUTONOMOUS MODE\n"
        f"watch it drive: {url_of(listener)}"
    )
