"""The four commands, from a recording to a clip, with a simulated car that connects to drive.py."""

import json

from tests.drive.drive_server import Still, drive, serving
from tests.recordings import images_of
from tests.running import run_process


def run_chain(recordings, folder, preprocess_options, train_options, frames):
    """Run all four as a user would; return what each reported."""
    store = folder / "data.h5"
    model = folder / "model.h5"
    run = folder / "run1"

    def result(*line):
        return json.loads(run_process(*line, "--json").stdout)

    made = result("preprocess.py", *recordings, "-o", store, *preprocess_options)
    trained = result("model.py", store, "-o", model, "--runs", folder / "runs", *train_options)
    world = Still(frames, jpegs=[path.read_bytes() for path in images_of(recordings[0])])
    with serving(model, run) as server:
        report = drive(server.port, world)
        assert server.end() == 0
    clip = result("video.py", run)
    assert (folder / "run1.mp4").stat().st_size > 1000
    return made, trained, report, clip, [steering for steering, _ in world.controls]
