"""Three rows of a log, written in every dialect, to be read again."""

STAMPS = ["2019_03_07_20_01_33_184", "2019_03_07_20_01_33_253", "2019_03_07_20_01_33_321"]
NUMBERS = [
    ("0", "1", "0", "30.19016"),
    ("-0.1802609", "0", "0.5", "30.18234"),
    ("1", "0.3093727", "0", "7.953689E-07"),
]


def log_lines(
    separator=",",
    folder="/home/me/data/IMG/",
    comma=False,
    cameras=("center", "left", "right"),
    extra="",
):
    """Write the three rows above in a dialect."""
    lines = []
    for stamp, numbers in zip(STAMPS, NUMBERS, strict=True):
        cells = []
        for camera in ("center", "left", "right"):
            image = f"{folder}{camera}_{stamp}.jpg"
            cells.append(image if camera in cameras else "")
        for number in numbers:
            cells.append(number.replace(".", ",") if comma else number)
        lines.append(separator.join(cells) + extra)
    return lines


def write(tmp_path, lines, encoding="utf-8", newline="\n", end="\n"):
    path = tmp_path / "driving_log.csv"
    path.write_bytes((newline.join(lines) + end).encode(encoding))
    return path


HEADER = "center,left,right,steering,throttle,brake,speed"
