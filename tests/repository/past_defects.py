"""Bring back past defects one by one, and see that a test fails each time; exit with 1 where none does.

Each row of DEFECTS names a defect that users or attackers met, the text that mended it, and a test. The text is taken
out in a copy of the package, in which the test then runs. All tests run in an unchanged copy first, where they pass.
A row whose text is no longer in its file is renewed, or another way to bring the defect back is found.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_COPIED = ("bcclone", "tests")  # of the others, the copy has links
_SECONDS = 120  # at most, for a test
_PASSED, _FAILED = 0, 1  # exit codes of pytest; above: it found no such test, or could not start


class Defect(NamedTuple):
    """name: what was wrong; file: that was mended; fix: its text; without: what it is replaced by; test: that fails."""

    name: str
    file: str
    fix: str
    without: str
    test: str


# fmt: off
DEFECTS = (
    # ---- wrong results without a word
    Defect("a copy of a recording lies on both sides of the split",
           "bcclone/dataset/samples.py",
           'rows["time_ms"].to_numpy(np.int64) // length_ms', "np.arange(len(rows)) * 67 // length_ms",
           "tests/dataset/test_preprocess.py::test_a_copy_is_told_by_its_frames_and_on_the_same_side_of_the_split"),
    Defect("mirror images are seen by a camera that is tilted the other way",
           "bcclone/feed/augment/viewpoint.py",
           "warp_to(move, flipped, xp).through(self._views, images)",
           "warp_to(move, flipped & False, xp).through(self._views, plain)",
           "tests/feed/augment/test_on_cpu.py::test_a_mirror_image_becomes_the_view_of_the_real_camera"),
    Defect("frames of a video in a gap of its table get a label",
           "bcclone/lab/exchange/labelled_video.py", " and np.ptp(around) <= _GAP_SECONDS", "",
           "tests/lab/exchange/test_importing_videos.py::test_a_frame_between_rows_that_are_far_apart_gets_no_label"),
    Defect("the times of a run jump when the clock of the machine is set",
           "bcclone/drive/run_folder.py",
           "self._began + datetime.timedelta(seconds=taken - self._began_at)", "datetime.datetime.now()",
           "tests/drive/test_recorder.py::test_the_time_between_two_rows_is_that_between_their_frames_"
           "whatever_the_clock_of_the_machine_does"),
    Defect("decimal commas are resolved in the order of the lines, also in a shuffled log",
           "bcclone/recording/log.py", "sorted(((time_of(one.images[0]), one) for one in split), key=itemgetter(0)):",
           "((time_of(one.images[0]), one) for one in split):",
           "tests/recording/test_recording.py::test_decimal_commas_without_spaces_are_resolved_in_order_of_time"),
    Defect("the loss of an epoch that is resumed leaves out the samples before",
           "bcclone/train/checkpoint.py", "    trainer.totals.write(totals)\n", "",
           "tests/train/test_checkpoint.py::test_the_sums_of_an_epochs_losses_come_back"),
    Defect("red and blue are exchanged in pictures of other programs",
           "bcclone/system/opencv.py", "recolored(pixels, cv2.COLOR_BGR2RGB)", "pixels",
           "tests/lab/exchange/test_importing.py::test_a_lerobot_data_set_of_another_program_becomes_a_recording"),
    Defect("a network of several frames sees those before a pause if the next image is missing",
           "bcclone/evaluate/predict.py", "begins = begins or ends", "begins = ends",
           "tests/evaluate/test_predict.py::test_frames_before_a_pause_are_forgotten_also_if_the_next_image_is_missing"),
    Defect("frames come from a shard that was replaced after the store had been opened",
           "bcclone/cluster/far_frames.py", "if version != file.version:", "if False:",
           "tests/cluster/test_changing_objects.py::"
           "test_frames_of_a_shard_that_changes_after_the_store_was_opened_are_not_read[other content]"),
    # ---- crashes and messages
    Defect("an ONNX file that divides whole numbers ends the process",
           "bcclone/model/onnx_model.py",
           "if any(node.op_type in _DIVISIONS for node in model.graph.node):", "if False:",
           "tests/model/test_onnx_model.py::test_a_hostile_file_is_refused_before_it_runs[whole numbers divided]"),
    Defect("frames that show no offset end --check with a division by zero",
           "bcclone/dataset/recoveries.py", "if not gain > 0:", "if False:",
           "tests/dataset/test_recoveries.py::test_frames_that_show_no_offset_do_not_tell_it"),
    Defect("names of files send commands to the terminal",
           "bcclone/system/errors.py",
           r'"".join(one if one.isprintable() or one in "\n\t" else repr(one)[1:-1] for one in text)', "text",
           "tests/test_cli.py::test_names_send_no_commands_to_the_terminal"),
    Defect("two threads map a file twice, and one reads memory that is gone",
           "bcclone/dataset/frames.py",
           "                if number not in self._maps:\n                    self.use_map(",
           "                if True:\n                    self.use_map(",
           "tests/dataset/test_frames.py::test_threads_may_read_new_files_at_the_same_time"),
    # ---- attacks
    Defect("a JPEG of many scans takes minutes",
           "bcclone/system/opencv.py", "(scans := content.count(_SCAN))", "(scans := 0)",
           "tests/dataset/test_images.py::test_a_jpeg_of_many_scans_is_refused_before_it_is_decoded_"
           "and_a_progressive_one_is_not"),
    Defect("an import reads images outside of its folder",
           "bcclone/system/codec.py", "if not path.is_relative_to(home):", "if False:",
           "tests/lab/exchange/test_hostile_imports.py::test_no_image_outside_the_folder_is_read"),
    Defect("tables of a store come from other files through links",
           "bcclone/system/hdf5_file.py", "if not isinstance(link, h5py.HardLink):", "if False:",
           "tests/dataset/test_hostile_store.py::test_no_table_comes_from_another_file"),
    Defect("a clip runs the program that a file .env names",
           "bcclone/pictures/clip.py", "sys.modules.setdefault(config.__name__, config)", "pass",
           "tests/pictures/test_encode.py::"
           "test_a_file_of_variables_in_the_current_folder_or_above_is_not_read[a line]"),
    Defect("pages of other sites read the state of a drive",
           "bcclone/drive/wire/web_server.py",
           'return environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("none", "same-origin") and not is_link',
           "return is_link and False",
           "tests/drive/test_access.py::test_a_page_of_another_site_has_no_access"),
    Defect("a Keras file unpacks to more than the memory",
           "bcclone/model/keras_files/stored.py", "if member.file_size > most:", "if False:",
           "tests/model/keras_files/test_stored.py::test_an_archive_that_unpacks_to_too_much_or_lacks_a_part_is_refused"),
    # ---- lost work
    Defect("a kill between two renames loses the folder that was there",
           "bcclone/system/atomic.py", "leftover.replace(path)", "_remove(leftover)",
           "tests/system/test_atomic.py::test_a_folder_whose_replacement_was_killed_between_two_names_comes_back"),
    Defect("a full disk leaves a part of a row in the log",
           "bcclone/recording/writer.py", "            file.truncate(end)\n            raise", "            raise",
           "tests/recording/test_writer.py::test_a_row_that_does_not_fit_the_disk_leaves_nothing"),
    Defect("a Ctrl-C that an import swallows is lost",
           "bcclone/system/interrupts.py", "    if requested:\n        raise KeyboardInterrupt", "",
           "tests/system/test_interrupts.py::test_an_interrupt_that_a_package_swallows_or_turns_into_its_own_error_"
           "is_not_lost"),
    Defect("one damaged checkpoint ends a training that has an older one",
           "bcclone/train/checkpoint.py", "if number == len(paths):", "if True:",
           "tests/train/test_checkpoint.py::test_a_damaged_checkpoint_is_reported_and_the_one_before_it_used"),
    Defect("a play on a full disk leaves a folder without a row",
           "bcclone/play/play_session.py", "self._writer.remove_if_void()", "pass",
           "tests/play/test_recorder.py::test_a_recording_that_gets_no_row_on_a_full_disk_leaves_no_folder[10]"),
    # ---- dialects of the protocol
    Defect("a car that lost the seat is told twice, and runs one more loop",
           "bcclone/drive/arbiter.py",
           "                self._pending.pop(sid, None)\n                return Reply(fault=fault,",
           "                return Reply(fault=fault,",
           "tests/drive/test_arbiter.py::test_the_older_connection_is_answered_manual_after_a_pause"),
    Defect("a machine that writes decimal commas is answered with points",
           "bcclone/drive/protocol.py", "for name, text in fields.items()} if decimal_comma else fields",
           "for name, text in fields.items()} if False else fields",
           "tests/drive/test_protocol.py::test_a_steer_event_is_two_texts_in_the_machines_culture"),
    # ---- the simulator
    Defect("compiled code is used after a module that it is made of has changed",
           "bcclone/system/compiled.py", "return *super()._index_key(*arguments), self.sources",
           "return super()._index_key(*arguments)",
           "tests/system/test_compiled.py::test_a_function_is_compiled_anew_when_the_checksum_of_its_sources_has_changed"),
    Defect("the car is driven by the C library's sine and cosine",
           "bcclone/simulator/car.py",
           "self.x += level * sine(self.heading)", "self.x += level * math.sin(self.heading)",
           "tests/simulator/test_same_on_every_processor.py::"
           "test_no_module_of_the_simulator_computes_with_functions_of_the_c_library"),
    # ---- the findings of --check
    Defect("a correlation of chance is taken for mirrored steering",
           "bcclone/dataset/evidence.py", "-max(_SURE, self.rival) and self.bound(2) < -_LEAST", "-CLEAR",
           "tests/dataset/test_diagnosis.py::test_a_correlation_counts_only_if_its_error_and_other_times_allow_it"),
    Defect("the pictures of a car that stands are called frozen",
           "bcclone/dataset/picture_faults.py", "evidence.figures.frozen & ~evidence.stands", "evidence.figures.frozen",
           "tests/dataset/test_diagnosis.py::test_the_pictures_of_a_car_that_stands_are_not_frozen"),
)
# fmt: on


def without_fix(defect: Defect) -> str:
    """Return the content of the defect's file without its fix; raises ValueError where the fix is not there once."""
    text = (ROOT / defect.file).read_text(encoding="utf-8")
    if (count := text.count(defect.fix)) != 1:
        raise ValueError(f"its text is {count} times in {defect.file}, expected once; renew the row")
    return text.replace(defect.fix, defect.without)


def run_tests(tests: Sequence[str], defect: Defect | None = None) -> tuple[int, str]:
    """Return the exit code of pytest in a copy with a defect, below 0 after a crash, and what it printed."""
    with tempfile.TemporaryDirectory(prefix="past-defect-") as folder:
        copy = Path(folder) / "checkout"
        copy.mkdir()
        for path in ROOT.iterdir():
            if path.name in _COPIED:
                shutil.copytree(path, copy / path.name, symlinks=True)  # with their compiled code
            else:
                (copy / path.name).symlink_to(path)
        if defect:
            (copy / defect.file).write_text(without_fix(defect), encoding="utf-8")
        limits = [f"--timeout={_SECONDS - 20}", f"--basetemp={folder}/made"]  # a test that hangs has failed
        line = [sys.executable, "-m", "pytest", "-q", "-m", "", "-p", "no:cacheprovider", *limits, *tests]
        most, environment = _SECONDS * len(tests), os.environ | {"PYTHONPATH": str(copy)}
        try:
            done = subprocess.run(line, cwd=copy, env=environment, capture_output=True, text=True, timeout=most)
        except subprocess.TimeoutExpired:
            return _PASSED, f"took more than {most} s"
        return done.returncode, done.stdout + done.stderr


def main() -> int:
    """Print for each defect whether a test fails; return the exit code."""
    begin = time.monotonic()
    code, printed = run_tests([defect.test for defect in DEFECTS])
    if code != _PASSED:
        print(printed, "a test fails without a defect; mend that first", sep="\n")
        return 1
    caught = 0
    for number, defect in enumerate(DEFECTS, 1):
        start = time.monotonic()
        try:
            code, printed = run_tests([defect.test], defect)
        except ValueError as error:
            code, printed = _PASSED, str(error)
        fails = code == _FAILED or code < 0
        caught += fails
        seconds = time.monotonic() - start
        print(f"{number:2} {'caught' if fails else 'MISSED'} {seconds:4.0f} s  {defect.name}", flush=True)
        if not fails:
            print(f"   {defect.test}", *printed.splitlines()[-5:], sep="\n   ", flush=True)
    print(f"{caught} of {len(DEFECTS)} caught, {time.monotonic() - begin:.0f} s")
    return 0 if caught == len(DEFECTS) else 1


if __name__ == "__main__":
    sys.exit(main())
