"""Run a drive server: open the model, listen, and serve the car and the web page until the server is stopped.

Settings go in, a DriveResult comes out; each part of the server is built here, and only here.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from bcclone.drive.arbiter import ConnectionArbiter
from bcclone.drive.drive_page import DrivePage
from bcclone.drive.drive_settings import DriveResult, DriveSettings, is_this_machine
from bcclone.drive.driver import Driver, ModelPolicy, Watch
from bcclone.drive.page.app import make_app
from bcclone.drive.page.pages import OpenPages
from bcclone.drive.run_folder import run_recorder
from bcclone.drive.saliency_thread import make_saliency_thread
from bcclone.drive.stats import DriveStats
from bcclone.drive.wheel import PageHands
from bcclone.drive.wire.access import Access
from bcclone.drive.wire.service import DriveService
from bcclone.drive.wire.web_server import WebServer, load_host


def serve(
    settings: DriveSettings,
    notify: Callable[[str], None] = print,
    stop: threading.Event | None = None,
    open_watch: Callable[[], Watch] | None = None,
) -> DriveResult:
    """Serve a model to the simulators that connect, until Ctrl-C, SIGTERM or `stop`; return the result.

    notify: called with lines for the user, never by two threads at a time, and not after serve() has returned; stop: an
    event that any thread may set to end the drive; open_watch: called once TensorFlow is loaded, opens the monitor of
    the drive. Signals are handled if this is called in the main thread. Raises UserError when the model, the address or
    the run folder cannot be used.
    """
    from bcclone.system.tensorflow_quietly import describe_devices, load_tensorflow

    load_tensorflow(threads=1)  # a fifth faster than two threads for single frames, and leaves a core to the simulator
    from bcclone.model.policy import load_policy

    policy = load_policy(settings.model, settings.preprocess)
    notify(f"{settings.model}: frames are prepared as {policy.preprocessing.describe()}")
    if settings.run_folder is None:
        notify(f"nothing is recorded; name a folder to record into: bcclone drive {settings.model} run1")
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
    """Serve a policy that is already open, as serve() does. watch: the monitor of the drive."""
    host, access = load_host(settings.async_mode), Access(settings.host, settings.token, settings.allow_from)
    if settings.async_mode == "eventlet":
        notify("note: eventlet and this mode are supported until April 2027; leave --async-mode out to use threads")
    hands = PageHands()
    arbiter = ConnectionArbiter(Driver(policy, settings.speed, hands, watch))
    stats = DriveStats(arbiter, settings.max_latency_ms)
    with (
        WebServer(host, (settings.host, settings.port), access, notify, stop) as server,
        run_recorder(settings.run_folder, settings.append, stats.warn) as recorder,
        make_saliency_thread(policy, lambda: stats.jpeg) as saliency,
    ):
        service = DriveService(arbiter, stats, recorder, server, settings.async_mode)
        page = DrivePage(service, hands, saliency, policy)
        app = service.with_page(make_app(page, OpenPages(page, host), server))
        server.notify(
            f"listening on {server.address}; start the simulator, choose a track and AUTONOMOUS MODE\n"
            f"watch it drive: {server.url}"
        )
        server.run(app, service.check_sessions, service.driving_peer)
        service.finish()
    recorded = recorder.figures()
    folder = None if recorded.folder is None else Path(recorded.folder)
    return DriveResult(
        arbiter.driver.answered, arbiter.driver.faults, folder, recorded.recorded, recorded.dropped, recorded.failure
    )
