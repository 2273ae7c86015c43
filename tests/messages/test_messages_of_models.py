"""model_file, network, saliency, import-model, and what looks at frames: which files are no model that can be used."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from bcclone.decode import read_frame
from bcclone.images import Preprocessing, decode_jpeg, encode_jpeg
from bcclone.video import ClipSettings, make_clip
from tests.messages.told import Message, run_command, tabled
from tests.rebuild import old_models
from tests.video.video_runs import name_of

WHOLE = Preprocessing(width=320, height=160)
NAMED = "nvidia-66x200-yuv"


def load(path, preprocessing=None):
    from bcclone.model_file import load_model_file

    return load_model_file(Path(path), preprocessing)


def foreign(preprocessing=None):
    old_models.write(Path("old.h5"), old_models.keras2_config())
    return load("old.h5", preprocessing)


def changed(model, **attributes):
    Path("model.h5").write_bytes(model.read_bytes())
    with h5py.File("model.h5", "r+") as file:
        for name, value in attributes.items():
            file.attrs[f"bcclone_{name}"] = value
    return load("model.h5")


def of_no_model():
    h5py.File("model.h5", "w").close()
    return load("model.h5")


def of_other_images():
    from bcclone.model_file import model_content
    from bcclone.network import build_network

    Path("model.h5").write_bytes(model_content(build_network(128, 64), Preprocessing(), {}))
    return load("model.h5")


def saved(*layers):
    """Return what saves a network of these layers of its own, made by functions of keras."""

    def provoke(untrained_model):
        import keras

        from bcclone.model_file import save_model

        images = keras.Input((128, 128, 3), dtype="uint8")
        found = keras.layers.Rescaling(1 / 255)(images)
        for layer in layers:
            found = layer(keras)(found)
        steering = keras.layers.Dense(1)(keras.layers.Flatten()(found))
        save_model("mine.h5", keras.Model(images, steering), Preprocessing())

    return provoke


def too_small():
    from bcclone.network import build_network

    return build_network(32, 40)


def recurrent_without_windows(untrained_model):
    from bcclone.network import build_network

    return build_network(network="lstm")


def look_at(make):
    def provoke(untrained_model):
        import keras

        from bcclone.saliency import Saliency

        return Saliency(make(keras), WHOLE)

    return provoke


def chain(*kinds):
    """Return what makes a network of layers of these kinds on whole frames."""
    return lambda keras: keras.Sequential([
        keras.Input((160, 320, 3)), *(getattr(keras.layers, kind)(**values) for kind, values in kinds)
    ])  # fmt: skip


CONVOLUTION = ("Conv2D", {"filters": 1, "kernel_size": 3})


def branched(keras):
    given = keras.Input((160, 320, 3))
    one, other = (keras.layers.Conv2D(2, 3)(given) for _ in range(2))
    return keras.Model(given, keras.layers.Add()([one, other]))


def with_side_exit(keras):
    given = keras.Input((160, 320, 3))
    taken = keras.layers.Conv2D(2, 3)(given)
    return keras.Model(given, [keras.layers.Flatten()(taken), taken])


def imported(*line):
    return run_command("import-model", *line)


def onto_itself():
    Path("old.h5").touch()
    return imported("old.h5", "-o", "old.h5")


def watched(untrained_model):
    Path("run").mkdir()
    Path("run", name_of(0)).write_bytes(encode_jpeg(np.zeros((50, 100, 3), np.uint8)))
    from bcclone.policy import load_onlooker

    return make_clip(ClipSettings((Path("run"),), Path("clip.mp4"), overlay=True), [load_onlooker(untrained_model)])


MESSAGES = [
    Message("images.py", "…x… pixels, expected …x…",
            lambda: decode_jpeg(encode_jpeg(np.zeros((50, 100, 3), np.uint8))), ("100x50 pixels, expected 320x160",)),
    Message("images.py", "no whole JPEG: …", lambda: decode_jpeg(b"no image")),
    Message("images.py", "the file is empty", lambda: decode_jpeg(b"")),
    Message("decode.py", "cannot be read: …", lambda: read_frame("nowhere.jpg"), ("No such file",)),
    Message("images.py", "its fields are others",
            lambda: Preprocessing.from_json(Preprocessing().to_json().replace(', "width": 128', "")),
            ("its fields are others",)),
    Message("images.py", "unknown preprocessing (…)\n  stored:    …\n  supported: …",
            lambda: Preprocessing.from_json('{"zoom": 2}'), ("others)", '{"zoom": 2}', '"height": 128')),
    Message("model_file.py", "…: is a folder; a SavedModel holds code, save the model as .h5 or .keras instead",
            lambda: load("."), (".: is",)),
    Message("model_file.py", "…: there is no such model; train one with: python model.py data.h5 -o …",
            lambda: load("m.h5"), ("m.h5: there", "-o m.h5")),
    Message("model_file.py", "(open_model) …: …", of_no_model,
            ("model.h5: not a model file: it holds no Keras model",)),
    Message("model_file.py", "…: not a whole model file: …; save it again, or train the model anew",
            lambda untrained_model: changed(untrained_model, training="{"), ("model.h5: ", "property name")),
    Message("model_file.py", "…: the network takes …, its preprocessing makes …; train it anew", of_other_images,
            ("model.h5: ", "(None, 128, 64, 3)", "(None, 128, 128, 3)")),
    Message("model_file.py", "…: Keras cannot write this network: …; see …",
            saved(lambda keras: keras.layers.RandomBrightness(0.1)), ("mine.h5: ", "model-file.md")),
    Message("model_file.py", "…: this network could not be loaded again: …; see …",
            saved(lambda keras: keras.layers.LayerNormalization()), ("mine.h5: ", "model-file.md")),
    Message("model_file.py", "no preprocessing is called …; known are …", lambda: load("m.h5", "mine"),
            ("mine", NAMED)),
    Message("model_file.py", "…: …\n  a newer bcclone may know it; or train the model anew",
            lambda untrained_model: changed(untrained_model, preprocessing="{}"),
            ("model.h5: unknown preprocessing", "supported: ")),
    Message("model_file.py", "…: its preprocessing does not belong to the hash beside it; train the model anew:\n  "
            "definition: … (hash …)\n  hash:       …",
            lambda untrained_model: changed(untrained_model, preprocessing_hash="0"), ("model.h5: ", "hash:       0")),
    Message("model_file.py", "…: carries its own definition of preprocessing, and another is given; leave out "
            "--preprocess\n  of the file: …\n  given:       …", lambda untrained_model: load(untrained_model, NAMED),
            ("untrained.h5: ", '"width": 128', '"width": 200')),
    Message("model_file.py", "…: …, the given preprocessing makes …; …", lambda: foreign("carnd-128-rgb"),
            ("old.h5: its network takes rows, columns and channels 66, 200, 3", f"give the one it was trained with: "
             f"--preprocess {NAMED}")),
    Message("model_file.py", "…: does not say how its input is made of a frame; …; …", lambda: foreign(),
            ("old.h5: ", "takes rows, columns and channels 66, 200, 3", f"--preprocess {NAMED}")),
    Message("network.py", "images of …x… are too small for the convolutions of …: these need … columns and, after the "
            "crop, … rows; make the store with a larger preprocess.py --size…", too_small,
            ("40x32", "cnn-64: these need 29 columns")),
    Message("network.py", "--network … is trained on windows of frames; give a --seq-length of 2 or more",
            recurrent_without_windows, ("--network lstm",)),
    Message("saliency.py", "cannot show what this network looks at: …", look_at(chain(("Flatten", {})))),
    Message("saliency.py", "it has no convolution (Conv2D) but …", look_at(chain(("Flatten", {}))), ("but Flatten",)),
    Message("saliency.py", "it is a … that does not say what it takes; expected a chain of layers",
            look_at(lambda keras: keras.Sequential([keras.layers.Conv2D(1, 3)])), ("a Sequential",)),
    Message("saliency.py", "it takes …, its preprocessing makes …",
            look_at(lambda keras: keras.Sequential([keras.Input((15, 18, 3)), keras.layers.Conv2D(1, 3)])),
            ("(None, 15, 18, 3)", "(None, 160, 320, 3)")),
    Message("saliency.py", "… takes something else than the layer before it gives; expected a chain",
            look_at(branched), ("(Conv2D)",)),
    Message("saliency.py", "it gives something else than its last layer does; expected a chain of layers",
            look_at(with_side_exit)),
    Message("saliency.py", "… before its last convolution cannot be followed; known are …",
            look_at(chain(("UpSampling2D", {}), CONVOLUTION)), ("(UpSampling2D) before", "Conv2D")),
    Message("saliency.py", "… has its channels first; expected channels last",
            look_at(chain(("MaxPooling2D", {"data_format": "channels_first"}), CONVOLUTION)), ("(MaxPooling2D)",)),
    Message("commands/import_model.py", "…: a model's name must end in .h5; name another -o",
            lambda: imported("old.h5", "-o", "new.keras"), ("new.keras: ",)),
    Message("commands/import_model.py", "… is the model to import; name another -o", onto_itself, ("old.h5 is",)),
    Message("commands/import_model.py", "…: is a bcclone model already; copy the file, there is nothing to import",
            lambda untrained_model: imported(untrained_model), ("untrained.h5: ",)),
    Message("video/clip.py", "…: the model cannot look at these frames: …; leave --model out", watched,
            ("run: ", "100x50 pixels, expected 320x160")),
]  # fmt: skip


@pytest.mark.parametrize("message", tabled(MESSAGES))
def test_the_message_comes_from_its_place(message, request):
    message.check(request)
