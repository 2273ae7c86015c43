"""Small recordings with three cameras, take-overs and a trace, for the tests of exchange."""

import numpy as np

from bcclone.camera.images import encode_jpeg
from bcclone.recording.run_folder import append_row
from bcclone.recording.run_tables import BY_MODEL, DRIVERS, HUMAN, TRACE, DrivenBy, TracePoint
from tests.pictures.video_runs import name_of

CAMERAS = ("center", "left", "right")
# as the simulator writes them: single precision, seven digits, sometimes a bit too much
STEERING = ("-0.5000001", "3.798023E-05", "0", "-0.1802609", "1.0000001", "0.3093727")


def make_driven(folder, rows=6, cameras=CAMERAS, seed=0, drivers=True, trace=True, pause_after=3):
    """Write a recording whose images differ; a pause of 5 s begins a second episode."""
    (folder / "IMG").mkdir(parents=True)
    random = np.random.default_rng(seed)
    lines = []
    by = []
    points = []
    for number in range(rows):
        name = name_of(number * 67 + 5000 * (number >= pause_after))
        for camera in cameras:
            small = random.integers(0, 256, (10, 20, 3), np.uint8)
            content = encode_jpeg(small.repeat(16, 0).repeat(16, 1))
            (folder / "IMG" / f"{camera}_{name}").write_bytes(content)
        cells = []
        for camera in CAMERAS:
            image = f"/home/me/IMG/{camera}_{name}"
            cells.append(image if camera in cameras else "")
        cells += [STEERING[number % len(STEERING)], "0.3", "0", f"{9 + number}.000119"]
        lines.append(",".join(cells) + "\n")
        image = f"center_{name}"
        driver = BY_MODEL if number < 2 else DrivenBy(HUMAN, 1)
        by.append(driver.row(image))
        point = TracePoint(number * 0.07, "lake", 1.5 * number, -2.125, 0.0625 * number)
        points.append(point.row(image))
    (folder / "driving_log.csv").write_text("".join(lines))
    for table, cells, wanted in ((DRIVERS, by, drivers), (TRACE, points, trace)):
        if wanted:
            for row in cells:
                append_row(folder / table.name, row, table.header)
    return folder
