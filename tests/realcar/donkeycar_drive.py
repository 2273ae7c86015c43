"""Drive the pictures of a tub with donkeycar's own code, as its car does with `--type
tflite_linear`.

    python tests/realcar/donkeycar_drive.py MODEL.tflite TUB [STEP]

Run it with a Python that has donkeycar 5 in an environment of its own, without TensorFlow: for
Python 3.12 or 3.13 `pip install donkeycar==5.4.0 ai-edge-litert`, for Python 3.11 `pip install
donkeycar==5.3.0 typing_extensions tflite-runtime`. It drives every STEPth picture and prints as the
last line a JSON object: `library`, `runtime`, `pictures` (their names), `angle` and `throttle` of
each, `ms` (the median time of KerasLinear.run), `left_out` (empty or broken pictures).
"""

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from donkeycar.parts.interpreter import TfLite
from donkeycar.utils import get_model_by_type
from PIL import Image, UnidentifiedImageError


def main(model, tub, step=1):
    pilot = get_model_by_type(
        "tflite_linear", SimpleNamespace(IMAGE_H=120, IMAGE_W=160, IMAGE_DEPTH=3)
    )
    pilot.load(model)
    assert isinstance(pilot.interpreter, TfLite)
    assert tuple(pilot.get_input_shape("img_in")) == (1, 120, 160, 3)
    found = {"pictures": [], "angle": [], "throttle": []}
    seconds = []
    left_out = 0
    for path in sorted(Path(tub, "images").iterdir())[:: int(step)]:
        try:
            picture = np.asarray(Image.open(path))  # as its TubRecord does
        except UnidentifiedImageError:
            left_out += 1
            continue
        start = time.perf_counter()
        angle, throttle = pilot.run(picture)
        seconds.append(time.perf_counter() - start)
        for name, value in zip(found, (path.name, float(angle), float(throttle)), strict=True):
            found[name].append(value)
    runtime = type(pilot.interpreter.interpreter).__module__.partition(".")[0]
    names = {
        "library": f"donkeycar {version('donkeycar')}",
        "runtime": f"{runtime} {version(runtime)}",
    }
    print(
        json.dumps(names | found | {"ms": 1000 * float(np.median(seconds)), "left_out": left_out})
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
