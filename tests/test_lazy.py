"""Names of a package are imported when they are first used."""

import subprocess
import sys

import pytest

from bcclone.lazy import lazy_attributes


def test_a_name_is_found_in_its_module_and_others_are_missing():
    get = lazy_attributes("json", {"JSONDecoder": "decoder"})
    assert get("JSONDecoder").__module__ == "json.decoder"
    with pytest.raises(AttributeError, match=r"'json' has no attribute 'nothing'"):
        get("nothing")


def test_importing_the_library_loads_neither_tensorflow_nor_opencv():
    code = (
        "import sys\n"
        "from bcclone import drive, evaluate, preprocess, replay, train, video\n"
        "assert not {'tensorflow', 'keras', 'cv2', 'socketio'} & set(sys.modules)\n"
        "for room in (drive, evaluate, preprocess, replay, train, video):\n"
        "    assert all(getattr(room, name) is not None for name in room.__all__)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_only_shards_need_is_not_loaded_for_a_store_of_one_file():
    code = (
        "import sys, bcclone.preprocess.conversion, bcclone.store.store\n"
        "assert not {'numba', 'fsspec', 'upath', 'distributed', 'tensorflow'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
