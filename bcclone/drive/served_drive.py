"""Build a drive, serve it to cars and pages until it is stopped, and make its result.

In: a loaded policy and a server that listens. Out: a `DriveResult`. Each part of a drive is built
here, and only here. Importing this loads flask, so server.py imports it when the server already
answers, with a page that says that the model is loading.
"""

from pathlib import Path

from bcclone.drive.arbiter import ConnectionArbiter
from bcclone.drive.drive_settings import DriveResult, DriveSettings
from bcclone.drive.driver import Driver, SteeringPolicy, framing_of_policy
from bcclone.drive.page.drive_page import DrivePage
from bcclone.drive.page.page_state import make_saliency_thread
from bcclone.drive.page.routes import OpenPages, make_app
from bcclone.drive.page_hands import DriveHands
from bcclone.drive.recorder import Recorder
from bcclone.drive.run_folder import RunRow, run_recorder
from bcclone.drive.service import DriveService
from bcclone.drive.stats import DriveStats
from bcclone.web.server import WebServer, WSGIApp


def serve_drive(policy: SteeringPolicy, settings: DriveSettings, server: WebServer) -> DriveResult:
    """Serve cars and pages until the server is stopped."""
    # the parts that decide, without sockets
    hands = DriveHands()
    driver = Driver(policy, settings, hands)
    arbiter = ConnectionArbiter(driver)
    stats = DriveStats(arbiter, settings.max_latency_ms)
    framing = framing_of_policy(policy)
    with (
        run_recorder(settings.run_folder, settings.append, stats.warn, framing) as recorder,
        make_saliency_thread(policy, lambda: stats.last_frame) as saliency,
    ):
        # the parts that speak with cars and pages
        service = DriveService(arbiter, stats, recorder, server)
        page = DrivePage(service, hands, saliency, policy)
        app = service.with_page(make_app(page, OpenPages(page, server), server))
        _serve_until_stopped(app, service, server)
    return _result(driver, recorder)


def _serve_until_stopped(app: WSGIApp, service: DriveService, server: WebServer) -> None:
    server.show(app, service.check_cars)
    server.notify(
        f"listening on {server.address}; "
        "start the simulator, choose a track and AUTONOMOUS MODE\n"
        f"watch it drive: {server.url}"
    )
    server.wait()
    service.finish()


def _result(driver: Driver, recorder: Recorder[RunRow]) -> DriveResult:
    """Return the result of a drive whose recording is closed."""
    folder: str | None = recorder.state()["folder"]
    run_folder = None if folder is None else Path(folder)
    return DriveResult(
        answered=driver.answered,
        faults=driver.faults,
        folder=run_folder,
        recorded=recorder.recorded,
        dropped=recorder.dropped,
        failure=recorder.failure,
    )
