"""Translate what a layer stores: its arguments, as Keras 1 to 3 wrote them, and the formula of a
Lambda.

The class of today says which arguments it has; here stands what they may be, and what they were
called in Keras 1: https://github.com/keras-team/keras/blob/2.2.4/keras/legacy/interfaces.py. Wrong
and unknown arguments raise UnsupportedModel, so that nothing is ignored that the network depends
on, and only plain values reach Keras.

Of a Lambda, such as x / 127.5 - 1, the stored byte code is recognised and never run: up to three
steps of arithmetic with a number, x / 127.5 - 1 or (x - 128) / 128, as Python 2.7 and 3.4 to 3.13
compile and marshal them. The layout of a code object:
https://github.com/python/cpython/blob/3.13/Python/marshal.c; the numbers of the instructions:
`opcode.opmap` of each version. Importing this loads no large package.
"""

import base64
import binascii
import inspect
import math
import re
import struct
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from bcclone.dataset.preprocessing_text import Scaling, joined_scaling
from bcclone.model.foreign import UnsupportedModel
from bcclone.system.errors import shown

if TYPE_CHECKING:
    import keras

Shape = tuple[int | None, ...]

_LARGEST = 1 << 16
_NAMES_NOW = {
    "nb_filter": "filters", "output_dim": "units", "bias": "use_bias", "subsample": "strides",
    "border_mode": "padding", "p": "rate", "sigma": "stddev", "alpha": "negative_slope",
}  # fmt: skip
# with the same meaning in every version; hard_sigmoid, for example, changed in Keras 3
_ACTIVATIONS = (
    "elu", "exponential", "gelu", "linear", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus",
    "softsign", "swish", "tanh",
)  # fmt: skip
_WORDS = {
    "activation": _ACTIVATIONS, "recurrent_activation": _ACTIVATIONS, "padding": ("valid", "same"),
    "interpolation": ("bilinear", "nearest"),
}  # fmt: skip
_SCALES = {"scale", "offset", "mean", "variance"}  # one, or one for each channel
_NUMBERS = _SCALES | {"rate", "stddev", "max_value"}  # and those whose default is a number
_LEAST = {
    "cropping": 0,
    "padding": 0,
    "axis": -_LARGEST,
    "shared_axes": -_LARGEST,
    "target_shape": -1,
}  # others: 1
# arguments that have to be these; those that have to be False, also where the class of today has
# them
_EXPECTED = {"function_type": "lambda", "arguments": {}, "groups": 1, "mode": 0} | dict.fromkeys(
    ("renorm", "rms_scaling", "go_backwards", "stateful", "return_state", "time_major", "zero_output_for_mask",
     "crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias", "invert"), False,
)  # fmt: skip
# arguments that matter only for training, or repeat the shape of the input
_NO_MATTER = {
    "name", "trainable", "batch_input_shape", "batch_shape", "input_shape", "input_dim", "input_length", "init",
    "beta_init", "gamma_init", "inner_init", "forget_bias_init", "unit_forget_bias", "weights", "noise_shape", "seed",
    "fused", "synchronized", "module", "renorm_clipping", "renorm_momentum", "virtual_batch_size", "output_shape",
    "output_shape_type", "output_shape_module", "sparse", "ragged", "optional", "implementation", "consume_less",
    "quantization_config", "lora_rank", "lora_alpha", "autocast", "unroll", "dim_ordering", "data_format",
    "fill_mode", "fill_value",
}  # fmt: skip
_NO_MATTER_ENDINGS = ("_regularizer", "_constraint", "_initializer")


def translate(
    kind: "type[keras.layers.Layer]", config: Mapping[str, Any], shape: Shape, channels_first: bool
) -> dict[str, Any]:
    """Return the arguments of a layer for its class of today, with the channels last.

    config: as stored; shape: of the layer's input, with the batch, channels last; channels_first:
    the order of the axes in the file.
    """
    parameters = inspect.signature(kind.__init__).parameters
    arguments: dict[str, Any] = {}
    stored = dict(config)
    if "nb_row" in stored:
        stored["kernel_size"] = [stored.pop("nb_row"), stored.pop("nb_col")]
    for name, value in stored.items():
        name = name if name in parameters else _NAMES_NOW.get(name, name)
        if name in _NO_MATTER or name.endswith(_NO_MATTER_ENDINGS):
            continue
        if name not in parameters or name == "dtype" or _EXPECTED.get(name) is False:
            _check_unread(name, value)
        elif value is not None or name in _WORDS:
            arguments[name] = _read(name, _plain(name, value), parameters[name].default)
    if channels_first and "softmax" in arguments.values():
        raise UnsupportedModel("softmax over columns, with channels first, is not supported")
    for name in {"axis", "shared_axes"} & arguments.keys():
        stated, count = arguments[name], len(shape)
        axes = list(stated) if isinstance(stated, tuple) else [stated]
        if not all(type(each) is int and each and -count < each < count for each in axes):
            raise UnsupportedModel(f"{name} is {shown(stated)}, expected the numbers of axes")
        axes = sorted(each % count for each in axes)
        if name == "axis" and kind.__name__ != "LayerNormalization":
            (axis,) = axes
            axis = -1 if axis == count - 1 else axis
            arguments[name] = {-1: 2, 1: -1, 2: 1}[axis] if channels_first and count == 4 else axis
        else:
            arguments[name] = axes
    return arguments


def _check_unread(name: str, value: Any) -> None:
    """Refuse an argument that is not read, unless it has its usual value."""
    if name in ("dtype", "input_dtype"):
        if "float" not in (policy := dtype_of(value)):
            raise UnsupportedModel(f"{name} is {shown(policy)}, expected 'float32'")
    elif value is not None and name not in _EXPECTED:
        raise UnsupportedModel(f"its argument {shown(name)} is unknown")
    elif value is not None and value != _EXPECTED[name]:
        raise UnsupportedModel(
            f"{name} is {shown(value)}, which is not supported; expected {_EXPECTED[name]!r}"
        )


def _plain(name: str, value: Any) -> Any:
    """Return a value without what the versions of Keras put around it."""
    if name in ("padding", "cropping"):
        if isinstance(value, dict):  # Keras 1 named the sides
            value = [value.get(f"{side}_pad", 0) for side in ("top", "bottom", "left", "right")]
        if isinstance(value, list) and len(value) == 4:
            value = [value[:2], value[2:]]
    if isinstance(
        value, dict
    ):  # an activation function in Keras 3, a number of NumPy in tf.keras and Keras 3
        value = value.get("value", value.get("config"))
        return value.get("value") if isinstance(value, dict) else value
    return "linear" if value is None else value


def _read(name: str, value: Any, default: Any) -> Any:
    """Return the value of an argument, whose type is that of the default of today."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise UnsupportedModel(f"{name} is {shown(value)}, expected True or False")
    elif name.endswith("activation") or isinstance(default, str):
        if value not in _WORDS.get(name, ()):
            raise UnsupportedModel(
                f"{name} is {shown(value)}; expected one of {', '.join(_WORDS.get(name, ()))}"
            )
    elif isinstance(value, list) and name in _SCALES:
        return [_read(name, each, default) for each in value]
    elif isinstance(default, float) or name in _NUMBERS:
        if type(value) not in (int, float):
            raise UnsupportedModel(f"{name} is {shown(value)}, expected a number")
        return float(value)
    else:
        return _whole(name, value)
    return value


def _whole(name: str, value: Any) -> Any:
    """Return a whole number, or a tuple of them or of tuples of them."""
    if isinstance(value, list):
        return tuple(_whole(name, each) for each in value)
    least = _LEAST.get(name, 1)
    if type(value) is not int or not least <= value <= _LARGEST:
        raise UnsupportedModel(
            f"{name} is {shown(value)}, expected a whole number from {least} to {_LARGEST}"
        )
    return value


def dtype_of(value: Any) -> str:
    """Return the name of a type, or of a policy as any version stores it; None is float32."""
    if isinstance(value, dict):
        value = value["config"].get("name", value["class_name"])
    return str(value or "float32")[:40]


# ---- the function of a Lambda

STATING = "bcclone import-model --rescale"
_SCALES_REMEDY = (
    f"if it scales the pixels alone, state how, as {STATING} 'x / 127.5 - 1', or save the model with a Rescaling layer "
    "in its place"
)
_CUTS = "[:]"  # among the names of a function that takes a part of its argument, or reverses it
_REMEDIES = {  # in a name that a function uses -> what to do
    r"^resize_(images|bilinear|bicubic|area|nearest_neighbor)$|^resizemethod$|^antialias$|^preserve_aspect_ratio$": (
        "no layer resizes so; train the model with a Resizing layer in its place"
    ),
    "resize": (
        "save the model with a Resizing layer in its place, such as keras.layers.Resizing(66, 200), and with "
        "Cropping2D and Rescaling for what else it does"
    ),
    "gr[ae]y|yuv|hsv|bgr": (
        "save the model without it, and give the colours in --preprocess: GRAY, or, nearly as after a division by 255, "
        "'YUV, mean 0 128 128 deviation 255' or 'HSV, mean 0 deviation 180 255 255'"
    ),
    r"^(reduce_)?std$|standardi": (
        "save the model without it and the crops before it, and give them in --preprocess, such as 'rows 60-135, mean "
        "and deviation'"
    ),
    r"crop|\[:\]": (
        "save the model with a Cropping2D layer in its place if it crops, or if it reverses the colours, without it "
        "and with BGR in --preprocess"
    ),
}
# what begins the code, a step (index of its constant, number of its operation), what ends the code
_CODES = (
    (rb"\|\0\0", rb"d(.)\0([\x14\x15\x17\x18\x1b])", rb"S"),  # Python 2.7, 3.4, 3.5
    (rb"\|\0", rb"d(.)([\x14\x17\x18\x1b])\0", rb"S\0"),  # 3.6 to 3.10
    (rb"\x97\0\|\0", rb"d(.)z([\0\x05\x0a\x0b])\0\0", rb"S\0"),  # 3.11, 3.12
    (rb"\x95\0U\0", rb"S(.)-([\0\x05\x0a\x0b])\0\0", rb"\$\0"),  # 3.13
)
_OPERATIONS = {0: "+", 5: "*", 10: "-", 11: "/", 20: "*", 21: "/", 23: "+", 24: "-", 27: "/"}
_HEAD = rb"[c\xe3]\x01\0\0\0(?:.{12}|.{16}|.{20})[s\xf3].{4}"  # of a function of one argument
_CONSTANT = rb"(N)|[g\xe7](.{8})|[i\xe9](.{4})|f.([-+.e\d]+)"
_CONSTANTS = rb"(?:[(\xa8].{4}|[)\xa9].)((?:" + _CONSTANT + rb")+)"
_NO_NAMES = rb"(?:[(\xa8]\0{4}|[)\xa9]\0)"  # of anything outside the function
# tf.image.resize(x, (66, 200)) in Python 3.6 to 3.13: instructions that load, call, build a list or
# return; None and the two numbers; and the names tf, image and resize
_RESUMES, _BUILD_SLICE = (
    0x95,
    (133, 50),
)  # the first instruction since 3.13; that of a slice before and since
_NAME_LENGTH = 40  # of the name of a function; a longer text is its byte code
_CALLS = rb"(?:(?:[\0\x02\x09Sdfgjt|\x83\x97\xa0\xa1\xa6\xab].)+|(?:[\0$/45RSU\[\x95].)+)"
_PAIR = rb"[)\xa9].N(?:[)\xa9]\x02)?[i\xe9](.{4})[i\xe9](.{4})"
_NAMED = rb"[)\xa9][\x02-\x04](?:[zZ\xda\xfa].\w+){0,2}[zZ\xda\xfa]\x05image[zZ\xda\xfa]\x06resize[)\xa9]"
_RESIZE = _HEAD + _CALLS + _PAIR + _NAMED


def remedy_of(text: str) -> str:
    """Return what to do about a function that is not read, by its name, or by the names in its byte
    code.
    """
    data = _bytes_of(text)
    lengths = re.finditer(rb"[zZ\xda\xfa](.)|[stu](.)\0\0\0", data, re.DOTALL)
    names = [
        data[each.end() : each.end() + ord(each[1] or each[2])].decode("latin-1").lower()
        for each in lengths
    ]
    names = [
        text[:_NAME_LENGTH].lower(),
        *(name for name in names if not {"/", "\\"} & {*name}),
    ]  # that is its file
    if head := re.match(_HEAD, data, re.DOTALL):
        code = data[
            head.end() : head.end() + struct.unpack("<i", data[head.end() - 4 : head.end()])[0]
        ]
        names += [_CUTS] if code and _BUILD_SLICE[code[0] == _RESUMES] in code else []
    found = (
        remedy for part, remedy in _REMEDIES.items() if any(re.search(part, name) for name in names)
    )
    return next(found, _SCALES_REMEDY)


def _bytes_of(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (
        binascii.Error,
        ValueError,
    ):  # as text; a backslash in a path may have made one character of six
        return text.encode("raw_unicode_escape")


def computed_by(text: str) -> Scaling | tuple[int, int]:
    """Return the scaling, or the rows and columns of the resizing, that byte code computes; raises
    UnsupportedModel.

    Keras 1 wrote the bytes as text, one character a byte; Keras 2 and later write base64:
    https://github.com/keras-team/keras/blob/2.2.4/keras/utils/generic_utils.py (func_dump,
    func_load).
    """
    data = _bytes_of(text)
    for begin, step, end in _CODES:
        code = rb"%b((?:%b){0,3})%b" % (begin, re.sub(rb"\((.*?)\)", rb"\1", step), end)
        if function := re.match(_HEAD + code + _CONSTANTS + _NO_NAMES, data, re.DOTALL):
            steps = re.findall(step, function[1], re.DOTALL)
            constants = [
                math.nan
                if none
                else float(text or struct.unpack("<d" if real else "<i", real or whole)[0])
                for none, real, whole, text in re.findall(_CONSTANT, function[2], re.DOTALL)
            ]
            try:
                return joined_scaling(
                    (_OPERATIONS[number], constants[index]) for (index,), (number,) in steps
                )
            except (IndexError, ValueError):
                break
    if size := re.match(_RESIZE, data, re.DOTALL):
        rows, columns = (struct.unpack("<i", number)[0] for number in size.groups())
        return rows, columns
    raise UnsupportedModel(
        f"its function is not x / number - number or alike, and code in a file is not run; {remedy_of(text)}"
    )
