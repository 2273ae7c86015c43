"""drive, simulate, evaluate, replay, --suite: addresses, folders, recordings and models that cannot be driven with."""

import multiprocessing
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bcclone.replay import read_human, replay
from bcclone.simulator.car import start_on
from bcclone.simulator.record import RecordingWriter
from bcclone.simulator.track import load_track
from tests.drive.drive_server import Still
from tests.messages.made import as_anybody, make_recording
from tests.messages.told import Message, tabled


@pytest.fixture(scope="module")
def broken_policy(untrained_model):
    """A policy that says NaN, as a training that diverged would leave it."""
    from bcclone.model_file import load_model_file
    from bcclone.policy import Policy

    file = load_model_file(untrained_model)
    file.model.get_layer("steering").bias.assign([float("nan")])
    return Policy(file)


class Scored(Still):
    """A world of one frame that counts interventions, of which there are none."""

    score = SimpleNamespace(interventions=())


def evaluated(broken_policy):
    from bcclone.evaluate import drive_policy

    return drive_policy(broken_policy, Scored(1), 30.0)


def listen(host, port):
    from bcclone.drive.server import listen

    return listen(host, port)


def listen_twice():
    with listen("127.0.0.1", 0) as first:
        return listen("127.0.0.1", first.getsockname()[1])


def asked(**wanted):
    """Set what the page of drive.py can set."""
    from bcclone.drive.dashboard.state import Panel
    from tests.drive.test_dashboard_addresses import make_cockpit

    Panel(make_cockpit(), None).set(wanted)


def asked_to_record_where_nobody_may():
    Path().chmod(0o555)
    try:
        with as_anybody():
            asked(recording=True)
    finally:
        Path().chmod(0o755)


def recorded_into(folder):
    with RecordingWriter(Path(folder)):
        pass


def recorded_where_there_was_a_folder():
    with RecordingWriter(Path("rec")) as writer:
        shutil.rmtree("rec/IMG")
        frame = np.zeros((160, 320, 3), np.uint8)
        writer.write(0.0, start_on(load_track("lake")), {"center": frame, "left": frame, "right": frame})


def driven(model, *, dies=False):
    """Let a process of the suite drive."""
    from bcclone.suite.run import Crew
    from bcclone.suite.scenarios import chosen_rows
    from bcclone.suite.worker import Task

    with Crew(1) as crew:
        answers = crew.drive([Task(Path(model), None, chosen_rows(["lake-15"])[0])])
        if dies:
            (child,) = (one for one in multiprocessing.active_children() if one.name == "bcclone-suite")
            child.kill()
        return list(answers)


MESSAGES = [
    Message("drive/server.py", "port … of … is in use, perhaps by another drive.py; end that, or choose another --port "
            "(the simulator itself always connects to 4567)", listen_twice, ("of 127.0.0.1",)),
    Message("drive/server.py", "cannot listen on …:…: …; choose another --host or --port",
            lambda: listen("192.0.2.1", 4567), ("192.0.2.1:4567: Cannot assign requested address; choose",)),
    Message("drive/dashboard/state.py", "expected an object with some of …", lambda: asked(),
            ("saliency, recording, set_speed_mph, autonomous",)),
    Message("drive/dashboard/state.py", "… …, expected true or false", lambda: asked(autonomous=1), ("autonomous 1,",)),
    Message("drive/dashboard/state.py", "set speed …, expected 0 to … mph", lambda: asked(set_speed_mph=99),
            ("99, expected 0 to 60 mph",)),
    Message("drive/dashboard/state.py", "(_set_recording) …", asked_to_record_where_nobody_may,
            ("cannot record there: Permission denied; choose another folder",)),
    Message("drive/saliency_thread.py", "(on) …", lambda: asked(saliency=True), ("it has no convolution",)),
    Message("simulator/record.py", "… is not an empty folder; choose another one to record into",
            lambda: recorded_into(make_recording("rec")), ("rec is",)),
    Message("simulator/record.py", "…: cannot record there: …; choose another folder",
            lambda: recorded_into("/dev/null/rec"), ("/dev/null/rec: ", "Not a directory")),
    Message("simulator/record.py", "…: cannot write: …; the … rows recorded so far are whole; record what is missing "
            "into another folder", recorded_where_there_was_a_folder,
            ("rec: cannot write: No such file", "the 0 rows")),
    Message("replay/human.py", "(read_human) …: …",
            lambda: read_human(make_recording("rec", image=None) / "driving_log.csv"),
            ("rec/driving_log.csv: none of its centre images is in rec/IMG", "put them there")),
    Message("replay/human.py", "(read_human) …: …",
            lambda: read_human(make_recording("rec") / "driving_log.csv", (0.0, 0.1)),
            ("rec/driving_log.csv: that part of it has no rows; take another --part",)),
    Message("replay/run.py", "…: no usable steering; is it trained, and its input whole?",
            lambda broken_policy: replay({"m.h5": broken_policy}, make_recording("rec")), ("m.h5: ",)),
    Message("evaluate.py", "the model gave no usable steering for any frame; is it trained, and its input whole?",
            evaluated),
    Message("suite/run.py", "process …, …, …; when memory ran out, take fewer --jobs",
            lambda: driven("m.h5", dies=True), ("driving lake-15 with m.h5", "was killed by signal 9")),
    Message("suite/run.py", "(answer) …", lambda: driven("m.h5"), ("m.h5: there is no such model",), slow=True),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
