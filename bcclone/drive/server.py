"""Run a drive server: listen, load the model, and serve the car and the web page until the server is stopped.

Settings go in, a DriveResult comes out; each part of the server is built here, and only here. What takes seconds to
import is imported while the server already answers.
"""

import threading
from collections.abc import Callable
from pathlib import Path

from bcclone.drive.arbiter import ConnectionArbiter
from bcclone.drive.drive_settings import DriveResult, DriveSettings, is_this_machine
from bcclone.drive.driver import Driver, ModelPolicy, Watch
from bcclone.drive.run_folder import check_run_folder, run_recorder
from bcclone.drive.saliency_thread import make_saliency_thread
from bcclone.drive.stats import DriveStats
from bcclone.drive.wheel import PageHands
from bcclone.drive.wire.access import Access
from bcclone.drive.wire.web_server import WebServer, load_host
from bcclone.model.model_path import check_model_path, is_onnx
from bcclone.system.interrupts import keeping_interrupts


def serve(
    settings: DriveSettings,
    notify: Callable[[str], None] = print,
    stop: threading.Event | None = None,
    open_watch: Callable[[], Watch] | None = None,
) -> DriveResult:
    """Serve a model to the simulators that connect, until Ctrl-C, SIGTERM or `stop`; return the result.

    The server listens before it loads the model; a simulator that connects meanwhile waits, and is then driven.
    notify: called with lines for the user, never by two threads at a time, and not after serve() has returned; stop: an
    event that any thread may set to end the drive; open_watch: called once TensorFlow is loaded, opens the monitor of
    the drive. Once the model is loaded, signals end the drive if this is called in the main thread. Raises UserError
    when the model, the address or the run folder cannot be used.
    """
    check_model_path(settings.model)
    return _serve(lambda server: _load(settings, server, open_watch), settings, notify, stop)


def serve_policy(
    policy: ModelPolicy,
    settings: DriveSettings,
    notify: Callable[[str], None] = print,
    stop: threading.Event | None = None,
    watch: Watch | None = None,
) -> DriveResult:
    """Serve a policy that is already open, as serve() does. watch: the monitor of the drive."""
    return _serve(lambda server: (policy, watch), settings, notify, stop)


def _load(
    settings: DriveSettings, server: WebServer, open_watch: Callable[[], Watch] | None
) -> tuple[ModelPolicy, Watch | None]:
    """Return the policy of the model and the monitor, if there is one, and say how they drive."""
    server.notify(f"loading {settings.model}; a simulator that connects waits, and {server.url} shows when it drives")
    device = "CPU"
    if not is_onnx(settings.model) or open_watch is not None:
        from bcclone.system.tensorflow_quietly import load_tensorflow

        # one thread is a fifth faster than two for single frames, and leaves a core to the simulator
        device = load_tensorflow(threads=1)
    from bcclone.model.policy import load_policy

    policy = load_policy(settings.model, settings.preprocess)
    server.notify(f"{settings.model}: frames are prepared as {policy.preprocessing.describe()}")
    if policy.framing:
        server.notify(f"the camera's pictures become frames: {policy.framing.describe()}")
    if settings.run_folder is None:
        server.notify(f"nothing is recorded; name a folder to record into: bcclone drive {settings.model} run1")
    if device != "CPU":
        server.notify(f"driving on {device}")
    if not is_this_machine(settings.host):
        host = settings.host
        server.notify(f"warning: every machine that knows the token can use {host}; the token is sent unencrypted")
    return policy, open_watch() if open_watch else None


def _serve(
    load: Callable[[WebServer], tuple[ModelPolicy, Watch | None]],
    settings: DriveSettings,
    notify: Callable[[str], None],
    stop: threading.Event | None,
) -> DriveResult:
    if settings.run_folder is not None:
        check_run_folder(settings.run_folder, settings.append)
    host, access = load_host(settings.async_mode), Access(settings.host, settings.token, settings.allow_from)
    if settings.async_mode == "eventlet":
        notify("note: eventlet and this mode are supported until April 2027; leave --async-mode out to use threads")
    with WebServer(host, (settings.host, settings.port), access, notify, stop) as server:
        with keeping_interrupts():
            policy, watch = load(server)
        from bcclone.drive.drive_page import DrivePage
        from bcclone.drive.page.app import make_app
        from bcclone.drive.page.pages import OpenPages
        from bcclone.drive.wire.service import DriveService

        server.stop_on_signals()
        hands = PageHands()
        driver = Driver(policy, settings.speed, hands, watch)
        driver.framing = policy.framing
        arbiter = ConnectionArbiter(driver)
        stats = DriveStats(arbiter, settings.max_latency_ms)
        with (
            run_recorder(settings.run_folder, settings.append, stats.warn) as recorder,
            make_saliency_thread(policy, lambda: stats.jpeg) as saliency,
        ):
            service = DriveService(arbiter, stats, recorder, server)
            page = DrivePage(service, hands, saliency, policy)
            app = service.with_page(make_app(page, OpenPages(page, host), server))
            server.show(app, service.check_cars)
            server.notify(
                f"listening on {server.address}; start the simulator, choose a track and AUTONOMOUS MODE\n"
                f"watch it drive: {server.url}"
            )
            server.wait()
            service.finish()
    recording = recorder.state()
    return DriveResult(
        answered=driver.answered,
        faults=driver.faults,
        folder=None if recording["folder"] is None else Path(recording["folder"]),
        recorded=recording["recorded"],
        dropped=recording["dropped"],
        failure=recording["failure"],
    )
