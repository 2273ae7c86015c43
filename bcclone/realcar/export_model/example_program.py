"""An exported file -> a program in Python that steers with it, and needs neither bcclone nor Keras.

The program runs the file with its runtime, NumPy and Pillow. It is written beside the file.
"""

from string import Template

from bcclone.realcar.export_model.export_settings import ONNX
from bcclone.realcar.export_model.interface import Interface

# The name of the exported file does not stand in the program: it could contain code.
_PROGRAM = Template('''\
"""Print the steering for pictures of the camera, from -1 (left) to 1 (right).

Written by bcclone export, for the file beside it that has this name without .py. Give it the paths
of the pictures, in the order of the drive. The file takes ${width}x$height pixels, RGB, $type,
with numbers from 0 to 255. Needs: pip install $packages
"""

import sys
from pathlib import Path

import numpy as np
$runtime
from PIL import Image

file = str(Path(__file__).with_suffix(""))
$open$before
if len(sys.argv) < 2:
    sys.exit(__doc__)
for path in sys.argv[1:]:
    picture = np.asarray(Image.open(path).convert("RGB"), np.$type)
    if picture.shape != ($height, $width, 3):
        sys.exit(f"{path}: {picture.shape}, expected ($height, $width, 3)")
$answer
    print(path, outputs["$steering"][0, 0])
''')

_LITERT = {
    "packages": "ai-edge-litert numpy pillow",
    "runtime": "from ai_edge_litert.interpreter import Interpreter",
    "open": "answer = Interpreter(file).get_signature_runner()\n",
}
_ONNX = {
    "packages": "onnxruntime numpy pillow",
    "runtime": "import onnxruntime",
    "open": """\
session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]


def answer(**inputs):
    return dict(zip(names, session.run(names, inputs)))

""",
}

_SINGLE = {
    "before": "",
    "answer": "    outputs = answer($input=picture[np.newaxis])",
}
_WINDOWS = {
    "before": "window = []  # the last pictures, oldest first\n",
    "answer": """\
    if not window:  # the first picture of a drive fills the window
        window = [picture] * $length
    window = [*window[1:], picture]
    outputs = answer($input=np.stack(window)[np.newaxis])""",
}
_RECURRENT = {
    "before": """\
states = {name: np.zeros((1, size), np.float32) for name, size in $states.items()}
steps = $length  # the network takes this many on the first picture of a drive, then one on each
""",
    "answer": """\
    for _ in range(steps):
        outputs = answer($input=picture[np.newaxis], **states)
        states = {name: outputs["next_" + name] for name in states}
    steps = 1""",
}


def example_program(to: str, interface: Interface) -> str:
    """Return the program for a file.

    to: the file's format, of FORMATS
    """
    runtime = _LITERT
    if to == ONNX:
        runtime = _ONNX
    states = {
        name: size for name, (size, *_) in interface.inputs.items() if name != interface.picture
    }
    network = _SINGLE
    if states:
        network = _RECURRENT
    elif interface.seq_length > 1:
        network = _WINDOWS
    values = {
        "input": interface.picture,
        "type": interface.picture_type,
        "width": interface.camera.width,
        "height": interface.camera.height,
        "length": interface.seq_length,
        "states": states,
        "steering": next(iter(interface.outputs)),
    }
    parts = {name: Template(text).substitute(values) for name, text in network.items()}
    return _PROGRAM.substitute(values, **runtime, **parts)
