"""Stores of random roads: what they hold, that a network trains on them, and what is refused."""

import numpy as np
import pytest

from bcclone.dataset.store import Store
from bcclone.research.road_samples import RoadSamplesSettings
from bcclone.research.road_samples.writing import make_road_samples
from bcclone.simulator.random_road import parse_name
from bcclone.system.errors import UserError
from tests.running import result_of, run_script

RANGES = "length=150-200"


@pytest.mark.long
def test_the_store_has_every_roads_frames_and_is_the_same_with_any_number_of_processes(tmp_path):
    paths = [tmp_path / f"{jobs}.h5" for jobs in (1, 2)]
    for jobs, path in enumerate(paths, start=1):
        settings = RoadSamplesSettings(
            path, roads=3, frames=4, size=(32, 24), ranges=RANGES, validation=0.4, jobs=jobs
        )
        result = make_road_samples(settings)
    assert (result.roads, result.frames, result.train, result.validation) == (3, 12, 16, 8)
    with Store(paths[0]) as one, Store(paths[1]) as other:
        assert one.content_hash == other.content_hash
        assert one.frames[0].shape == (24, 32, 3)
        samples = one.samples
        rows = one.rows
        assert samples["validation"].tolist() == [False] * 16 + [True] * 8  # mirror images included
        assert (samples["steering"][1::2] == -samples["steering"][::2]).all()
        assert np.ptp(rows["steering"]) > 0.05
        assert rows["recording"].tolist() == [0] * 4 + [1] * 4 + [2] * 4
        assert len({one.frames[number].tobytes() for number in range(12)}) == 12


def test_mirror_images_can_be_left_out(tmp_path):
    settings = RoadSamplesSettings(
        tmp_path / "roads.h5",
        roads=2,
        frames=3,
        size=(32, 24),
        ranges=RANGES,
        any_camera=1.0,
        flip=False,
        validation=0.5,
        jobs=1,
    )
    result = make_road_samples(settings)
    assert (result.train, result.validation) == (3, 3)
    with Store(settings.output) as store:
        assert not store.samples["flipped"].any()


@pytest.mark.slow
def test_a_network_trains_on_what_the_command_writes(tmp_path):
    store = tmp_path / "roads.h5"
    model = tmp_path / "model.h5"
    line = (
        "simulate",
        "roads",
        "-o",
        store,
        "--roads",
        2,
        "--frames",
        3,
        "--size",
        64,
        "--ranges",
        RANGES,
    )
    assert result_of(*line, "--validation", 0.5)["frames"] == 6
    train = (
        "model.py",
        store,
        "-o",
        model,
        "--runs",
        tmp_path / "runs",
        "--epochs",
        1,
        "--batch-size",
        2,
    )
    assert "do not follow each other" in run_script(*train, "--seq-length", 3, code=1).stderr
    assert "the same speed_mph, 20" in run_script(*train, "--predict", "throttle", code=1).stderr
    run_script(*train)
    assert model.exists()
    run_script("simulate", "record", tmp_path / "lap", "--laps", 0.01)
    before = store.read_bytes()
    add = ("preprocess.py", tmp_path / "lap", "-o", store, "--add")
    assert "could no longer learn the path" in run_script(*add, code=1).stderr
    assert store.read_bytes() == before
    run_script(*add, "--force")
    assert (
        "only some of the rows know their path"
        in run_script(*train, "--predict", "path", "--force", code=1).stderr
    )


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ranges": "length=1"}, "^--ranges length=1: length=1, expected a number"),
        ({"ranges": "colour=red"}, "colour=red, expected length, radius"),
        ({"ranges": "lenght=600"}, r"lenght=600: did you mean length\?"),
        ({"ranges": "dirt"}, "'dirt', expected a name and a value, such as surface=dirt"),
    ],
)
def test_malformed_ranges_are_refused_before_any_work(tmp_path, values, words):
    with pytest.raises(UserError, match=words):
        make_road_samples(RoadSamplesSettings(tmp_path / "roads.h5", **values))
    assert not list(tmp_path.iterdir())


def test_a_store_without_any_road_for_validation_or_for_training_is_refused():
    with pytest.raises(ValueError, match="validation 0.1 of 3 roads is none"):
        RoadSamplesSettings(roads=3)
    with pytest.raises(ValueError, match="validation 0.9 of 4 roads is all; make 6 roads or more"):
        RoadSamplesSettings(roads=4, validation=0.9)
    assert RoadSamplesSettings(roads=6, validation=0.9).validation_roads == 5
    assert RoadSamplesSettings(roads=3, validation=0.0).validation_roads == 0


@pytest.mark.parametrize("force", [False, True])
def test_a_file_that_is_no_store_is_kept_even_with_force(tmp_path, untrained_model, force):
    text = tmp_path / "roads.h5"
    model = tmp_path / "model.h5"
    text.write_bytes(b"mine")
    model.write_bytes(untrained_model.read_bytes())
    for path in (text, model):
        before = path.read_bytes()
        with pytest.raises(UserError, match=f"{path.name} exists, and is no store"):
            make_road_samples(RoadSamplesSettings(path, force=force))
        assert path.read_bytes() == before


def test_a_name_without_an_ending_is_refused_which_elsewhere_names_a_folder_of_shards(tmp_path):
    with pytest.raises(UserError, match=r"give it an ending, as in .*roads\.h5"):
        make_road_samples(RoadSamplesSettings(tmp_path / "roads"))


@pytest.mark.parametrize(
    ("ranges", "changed"),
    [
        ("", {}),
        ("hills=0", {"hills": "0"}),
        (" hills = 0 , surface=dirt", {"hills": "0", "surface": "dirt"}),
        (
            "shape=loop,radius=30-40,length=300",
            {"shape": "loop", "radius": "30-40", "length": "300"},
        ),
    ],
)
def test_ranges_replace_those_of_the_default_and_leave_the_others(ranges, changed):
    def values(settings):
        _, seed, stated = settings.road(2).split(":")
        return seed, {
            key.strip(): value.strip()
            for key, value in (part.split("=") for part in stated.split(","))
        }

    usual = values(RoadSamplesSettings())
    given = values(RoadSamplesSettings(ranges=ranges))
    assert given == ("100002", usual[1] | changed)
    parse_name(RoadSamplesSettings(ranges=ranges).road(2))
