"""Serve a model to the cars that connect: listen, load the model, serve cars and the page.

serve() takes the settings of a drive, and returns its `DriveResult` when it is stopped. Each part
of a drive is built here. What takes seconds to import is imported while the server already answers.
"""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bcclone.drive.arbiter import ConnectionArbiter
from bcclone.drive.cars import Cars
from bcclone.drive.drive_settings import DriveResult, DriveSettings
from bcclone.drive.driver import Driver, SteeringPolicy, framing_of_policy
from bcclone.drive.hands import Hands
from bcclone.drive.protocol import packets_of
from bcclone.drive.run_writer import run_recorder
from bcclone.drive.stats import DriveStats
from bcclone.model.model_path import check_model_path
from bcclone.recording.run_folder import check_free, locked_run
from bcclone.system.errors import shown_command
from bcclone.system.location import free_name
from bcclone.system.progress import Notify
from bcclone.web.access import Access
from bcclone.web.server import WebServer


def serve(
    settings: DriveSettings,
    notify: Notify = print,
    stop: threading.Event | None = None,
) -> DriveResult:
    """Serve a model to the simulators that connect, until Ctrl-C, SIGTERM or `stop`.

    The server listens before it loads the model; a simulator that connects meanwhile waits, and is
    then driven. Once the model is loaded, signals end the drive if this is called in the main
    thread. Raises UserError when the model, the address or the run folder cannot be used.

    notify: called with lines for the user, never by two threads at a time, and not after serve()
        has returned
    stop: an event that any thread may set to end the drive
    """
    return serve_typed((), lambda folder: "", settings, notify, stop)


def serve_typed(
    typed: tuple[str, ...],
    next_step: Callable[[Path], str],
    settings: DriveSettings,
    notify: Notify,
    stop: threading.Event | None = None,
) -> DriveResult:
    """Serve a model as serve() does; the page says how to start it again, and what comes next.

    typed: words of the command line that started it, () if none did
    next_step: returns the line that says what to do with the recording in a folder
    """
    check_model_path(settings.model, inside=False)
    load = partial(_load, settings)
    return _serve(load, settings.model, settings, notify, stop, typed, next_step)


def serve_policy(
    policy: SteeringPolicy,
    settings: DriveSettings,
    notify: Notify = print,
    stop: threading.Event | None = None,
) -> DriveResult:
    """Serve a policy of your own, as serve() does a model; the settings' model is not loaded."""
    return _serve(lambda server: policy, None, settings, notify, stop, (), lambda folder: "")


def _load(settings: DriveSettings, server: WebServer) -> SteeringPolicy:
    """Return the policy of the model, and say how it drives."""
    server.loading(
        f"Reading {settings.model.name}.",
        "This usually takes 5 seconds, longer while other programs are busy. Start the Udacity "
        "simulator meanwhile, and choose a track and Autonomous mode: it waits for the model.",
    )
    server.notify(
        f"loading {settings.model}; a simulator that connects waits, "
        f"and {server.url} shows when it drives"
    )
    # load now everything that takes seconds, so that the first car does not wait for it
    from bcclone.model.policy import load_driving_policy

    policy, device = load_driving_policy(settings.model, settings.preprocess)
    packets_of("socketio")  # imports the package, which takes half a second
    # what the user needs to know about this drive
    server.notify(f"{settings.model}: frames are prepared as {policy.preprocessing.describe()}")
    if policy.framing:
        server.notify(f"the camera's pictures become frames: {policy.framing.describe()}")
    if settings.run_folder is None:
        server.notify(
            "nothing is recorded; name a folder to record into: "
            f"{shown_command('drive', settings.model, free_name('run1'))}"
        )
    if device != "CPU":
        server.notify(f"driving on {device}")
    return policy


def _serve(
    open_policy: Callable[[WebServer], SteeringPolicy],
    model: Path | None,
    settings: DriveSettings,
    notify: Notify,
    stop: threading.Event | None,
    typed: tuple[str, ...],
    next_step: Callable[[Path], str],
) -> DriveResult:
    """Serve as serve() does.

    open_policy: called once the server listens
    model: the file of the policy, for the page; None for a policy of one's own
    """
    with ExitStack() as resources:
        # what the user can mend is said before anything large is loaded
        if settings.run_folder is not None:
            resources.enter_context(locked_run(settings.run_folder))
            check_free(settings.run_folder)
        access = Access(settings.host, settings.token, settings.allow_from, settings.allow_host)
        if settings.async_mode == "eventlet":
            notify(
                "note: eventlet and this mode are supported until April 2027; "
                "leave --async-mode out to use threads"
            )
        address = (settings.host, settings.port)
        server = resources.enter_context(
            WebServer(address, access, notify, stop, settings.async_mode)
        )
        policy = open_policy(server)
        # flask and the page load now, while the server already answers
        from bcclone.drive.live_page import DriveSession, Pages
        from bcclone.drive.saliency_overlay import saliency_thread

        # the parts that decide, without sockets
        hands = Hands()
        driver = Driver(policy, settings, hands)
        arbiter = ConnectionArbiter(driver)
        stats = DriveStats(arbiter)
        recorder = run_recorder(settings.run_folder, framing_of_policy(policy))
        saliency = saliency_thread(policy, lambda: stats.last_frame)
        # the parts that speak with cars and pages
        cars = Cars(arbiter, stats, recorder, server)
        session = DriveSession(cars, hands, saliency, policy)
        session.names = {"model": model, "folder": settings.run_folder}
        with Pages(session, server, typed, next_step) as pages, recorder, saliency:
            server.show(cars.with_page(pages.app()), cars.check)
            server.wait(
                f"listening on {server.address}; "
                "start the simulator, choose a track and AUTONOMOUS MODE\n"
                f"watch it drive: {server.url}"
            )
            cars.finish()
    return DriveResult(
        answered=driver.answered,
        faults=driver.faults,
        folder=recorder.folder if recorder.recorded else None,
        recorded=recorder.recorded,
        dropped=recorder.dropped,
        failure=recorder.failure,
    )
