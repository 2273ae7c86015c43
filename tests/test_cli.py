"""The scripts and `bcclone` behave alike, start quickly, and report mistakes without a
traceback.
"""

import contextlib
import errno
import itertools
import os
import re
import signal
import subprocess
import sys

import pytest

from bcclone import __version__
from bcclone.cli import INTERNAL_ERROR, run_line
from bcclone.commands import COMMANDS, load_command
from bcclone.dataset.shards import open_store
from bcclone.recording.files import UNFINISHED
from bcclone.system.interrupts import INTERRUPTS
from tests.messages.small_recording import make_recording
from tests.processes import imported_by, said, started
from tests.running import ROOT, run_process, run_script
from tests.running import command as command_line

LAKE = ROOT / "models" / "lake.h5"
SCRIPTS = ("preprocess.py", "model.py", "drive.py", "video.py")
ONE_OF_EACH_MODULE = {
    load_command(name.removesuffix(".py")).function.__module__: name
    for name in (*COMMANDS, *SCRIPTS)
}.values()


@pytest.mark.parametrize("name", ONE_OF_EACH_MODULE)
def test_help_answers_without_loading_what_it_does_not_need(name):
    heavy = {"tensorflow", "keras", "matplotlib", "eventlet", "pandas", "cv2", "h5py", "numba"}
    assert not imported_by(*command_line(*name.split(), "--help")) & heavy


def test_preprocess_and_video_never_load_tensorflow(simulated_recording, tmp_path):
    store = imported_by(
        *command_line("preprocess.py", simulated_recording, "-o", tmp_path / "data.h5")
    )
    clip = imported_by(*command_line("video.py", simulated_recording, "-o", tmp_path / "clip.mp4"))
    assert "h5py" in store
    assert "imageio_ffmpeg" in clip
    assert not (store | clip) & {"tensorflow", "keras"}


def test_without_its_environment_a_command_says_what_is_not_installed(tmp_path):
    done = said(sys.executable, "-S", ROOT / "preprocess.py", tmp_path, cwd=ROOT)
    assert done.returncode == 1
    assert "is not installed" in done.stderr
    assert ".venv/bin/activate" in done.stderr
    assert "Traceback" not in done.stderr


def test_bcclone_lists_its_commands_and_its_version():
    alone = said(sys.executable, "-m", "bcclone")
    assert alone.returncode == 2
    for listed in (run_process("--help").stdout, alone.stderr):
        assert all(f"  {name}" in listed for name in COMMANDS)
    assert "no command is called 'fly'" in run_process("fly", code=2).stderr
    assert "expected simulate record or" in run_process("simulate", code=2).stderr
    assert __version__ in run_process("--version").stdout


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["trane"], "bcclone model (train a network on a store)"),
        (["evalute", "model.h5"], "bcclone evaluate"),
        (["record"], "bcclone simulate record"),
        (["preprocess", "laps", "--chek"], "--check?"),
        (["model", "data.h5", "--epocs=3", "--bach-size", "4"], "--epochs and --batch-size?"),
        # an option is not abbreviated
        (["drive", "m.h5", "--tok", "5f90e6826c542534", "--hos=::"], "--token and --host?"),
        (["edit", "--pag"], "RECORDING; no option is called --pag; did you mean --page?"),
        (["suite", "m.h5", "--ro", "1"], "--rows or --road?"),
        (["--vers"], "--version?"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(words, meant, capsys):
    try:
        code = run_line(words)
    except SystemExit as end:
        code = end.code
    assert code == 2
    said = capsys.readouterr().err
    assert "did you mean" in said
    assert meant in said


def test_quiet_leaves_the_result_and_errors(simulated_recording, tmp_path):
    loud = run_script("preprocess.py", simulated_recording, "-o", tmp_path / "loud.h5")
    quiet = run_script("preprocess.py", simulated_recording, "-o", tmp_path / "quiet.h5", "--quiet")
    assert loud.stderr
    assert not quiet.stderr
    # the next command is named as this one was typed
    store = tmp_path / "quiet.h5"
    assert quiet.stdout.splitlines()[-1] == f"next: bcclone model {store} -o model.h5"
    again = run_script("preprocess", simulated_recording, "-o", store, "--force")
    assert again.stdout.splitlines()[-1] == f"next: bcclone model {store} -o model.h5"
    refused = run_script(
        "preprocess.py", simulated_recording, "-o", tmp_path / "quiet.h5", "--quiet", code=1
    )
    assert refused.stderr.startswith("error: ")


@pytest.mark.parametrize(
    "line",
    [
        ("preprocess.py", "nowhere"),
        pytest.param(("replay", "m.h5", "nowhere"), marks=pytest.mark.slow),
    ],
)
def test_a_users_mistake_is_one_line_to_which_debug_adds_the_traceback(line):
    plain = run_process(*line, code=1).stderr
    assert plain.startswith("error: ")
    assert len(plain.strip().splitlines()) == 1
    debugged = said(*command_line(*line, "--debug"))
    assert debugged.returncode == 1
    assert debugged.stderr.startswith("Traceback")
    assert debugged.stderr.endswith(plain)


BROKEN = """
import sys
from bcclone import cli
from bcclone.commands.command import Command
sys.exit(cli.run(Command(lambda: {}["missing"]), ["broken"], sys.argv[1:]))
"""


def test_an_internal_error_is_reported_with_its_own_exit_code_and_the_traceback():
    done = said(sys.executable, "-c", BROKEN, cwd=ROOT)
    assert done.returncode == INTERNAL_ERROR
    assert done.stderr.startswith("Traceback")
    assert "KeyError: 'missing'" in done.stderr.rpartition("error: internal")[2]


BROKEN_WHILE_IT_ENDS = """
import os, signal, sys
from bcclone import cli
from bcclone.commands.command import Command
from bcclone.system.interrupts import noting_interrupts

def serve():
    with noting_interrupts() as requested:
        os.kill(os.getpid(), signal.SIGINT)
        while not requested():
            pass
    raise AttributeError("a fault of ours")

sys.exit(cli.run(Command(serve), ["serving"], []))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill() ends a process there")
def test_an_internal_error_after_an_interrupt_that_ends_a_server_is_one():
    done = said(sys.executable, "-c", BROKEN_WHILE_IT_ENDS, cwd=ROOT)
    assert done.returncode == INTERNAL_ERROR
    assert done.stderr.startswith("Traceback")
    assert "a fault of ours" in done.stderr.rpartition("error: internal")[2]


FAILING = """
import sys
from bcclone import cli
from bcclone.commands.command import Command

def fail():
    raise OSError(int(sys.argv[1]), "the system's words", *sys.argv[2:])

sys.exit(cli.run(Command(fail), ["failing"], []))
"""


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.ENOENT])
def test_a_failing_drive_is_no_fault_of_bcclone(number):
    done = said(sys.executable, "-c", FAILING, str(number), "far/frame.jpg", cwd=ROOT)
    assert done.returncode == 1
    assert done.stderr.startswith("error: far/frame.jpg: the system's words; check ")


def test_a_missing_file_without_a_name_is_an_internal_error():
    line = (sys.executable, "-c", FAILING, str(errno.ENOENT))
    assert said(*line, cwd=ROOT).returncode == INTERNAL_ERROR


def interrupted(*line, after, cwd):
    """Start a command, send Ctrl-C when a line that begins so is on its standard error; return what
    it said last.
    """
    with started(command_line(*line), after, cwd=cwd) as run:
        run.send_signal(signal.SIGINT)
        printed = run.stderr.read()
    assert run.returncode == 130
    assert "Traceback" not in printed
    return printed.strip().splitlines()[-1]


@pytest.mark.long
def test_ctrl_c_reports_what_was_saved(tmp_path):
    laps = ("simulate", "record", tmp_path / "laps", "--laps", 20)
    assert interrupted(*laps, after="recording: ", cwd=tmp_path).startswith(
        f"interrupted: {tmp_path / 'laps'} keeps the"
    )
    demo = ("demo", "--folder", tmp_path / "demo", "--record-laps", 20)
    printed = interrupted(*demo, after="first look: ", cwd=tmp_path)
    assert printed.startswith("interrupted: the folder keeps what was made")


@pytest.mark.skipif(
    os.name != "posix", reason="Windows sends Ctrl-C to a console, not to a process"
)
@pytest.mark.parametrize(
    ("line", "moments", "again"),
    [
        (["--help"], [0.06, 0.08, 0.1], None),
        pytest.param(
            ["drive", ROOT / "models" / "lake.h5", "--port", 0],
            [0.3, 0.6, 2.0],
            0.03,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["evaluate", ROOT / "models" / "lake.h5"],
            [0.3 * part for part in range(1, 13)],
            0.05,
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["model", "--help"],
            [0.005 * part for part in range(8, 32)],
            None,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_an_interrupt_ends_a_command_with_a_word_at_any_moment(line, moments, again):
    """Also the second one, of which each kind of interrupt gets its turn."""
    for number, (seconds, kind) in enumerate(zip(moments, itertools.cycle(INTERRUPTS))):
        with subprocess.Popen(
            command_line(*line), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            for pause in (seconds, again) if again and number % 2 else (seconds,):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(pause)
                process.send_signal(kind)
            _, error = process.communicate(timeout=120)
        # Python itself starts before bcclone, and ends after it
        assert not re.search(r"bcclone.(cli|commands)|tensorflow", error), (seconds, kind)
        assert process.returncode in (0, 1, -kind, 128 + kind), (seconds, kind)
        assert process.returncode != 128 + kind or "interrupted" in error
        assert process.returncode != 1 or "Traceback" in error


@pytest.mark.skipif(os.name != "posix", reason="Windows knows no SIGHUP")
@pytest.mark.parametrize("how", ["closed terminal", "nohup"])
def test_a_closed_terminal_interrupts_a_command_that_nohup_does_not_protect(tmp_path, how):
    """What it has recorded until then is kept."""
    count = 0.3 if how == "nohup" else 3  # long enough to be still at work, on any machine
    laps = command_line("simulate", "record", tmp_path / "laps", "--laps", count)
    log = tmp_path / "laps" / "driving_log.csv"
    ignored = 'trap "" HUP; exec "$@"' if how == "nohup" else 'exec "$@"'

    def has_begun():
        return log.exists() and log.stat().st_size

    with started(["sh", "-c", ignored, "sh", *laps], has_begun) as process:
        process.send_signal(signal.SIGHUP)
        _, error = process.communicate(timeout=120)
    assert process.returncode == (0 if how == "nohup" else 129), error
    assert log.read_text().endswith("\n")


@pytest.mark.skipif(os.name != "posix", reason="Windows removes no current folder")
def test_a_current_folder_that_was_removed_is_said(tmp_path, simulated_recording):
    line = command_line("preprocess", simulated_recording, "-o", "data.h5")
    (tmp_path / "gone").mkdir()
    script = 'rmdir "$PWD"; exec "$@"'
    done = said("sh", "-c", script, "sh", *line, cwd=tmp_path / "gone")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: the current folder was removed")


FULL = "/dev/full"


@pytest.mark.skipif(not os.path.exists(FULL), reason="only Linux has such a device")  # noqa: PTH110
@pytest.mark.parametrize(
    ("streams", "code"),
    [
        (f"2>{FULL}", 0),
        (f">{FULL}", 1),
        (f">{FULL} 2>{FULL}", 1),
        ("2>&1", 1),  # into a pipe that nobody reads
        ("2>&1 >out", 0),
    ],
)
@pytest.mark.parametrize("is_unbuffered", ["", "1"])
def test_a_stream_that_cannot_be_written_ends_no_work(tmp_path, streams, code, is_unbuffered):
    """The exit code says whether the result is written."""
    laps = command_line("simulate", "record", tmp_path / "laps", "--laps", 0.01)
    script = f'{{ "$@" {streams}; echo $? > code; }}'
    if "&1" in streams:
        script += " | true"
    environment = os.environ | {"PYTHONUNBUFFERED": is_unbuffered}
    done = said("sh", "-c", script, "sh", *laps, cwd=tmp_path, env=environment)
    assert (tmp_path / "code").read_text() == f"{code}\n", done.stderr
    assert (tmp_path / "laps" / "driving_log.csv").read_text().count("\n") > 1
    if streams == f">{FULL}":
        assert "standard output" in done.stderr


@pytest.mark.skipif(not os.path.exists(FULL), reason="only Linux has such a device")  # noqa: PTH110
def test_a_command_that_fails_is_not_said_to_have_come_to_its_end(tmp_path):
    line = command_line("predict", tmp_path / "none.h5", tmp_path / "none.jpg", "--json")
    script = f'"$@" >{FULL}'
    done = said("sh", "-c", script, "sh", *line, cwd=tmp_path)
    assert done.returncode == 1
    assert "none.h5" in done.stderr
    assert "come to its end" not in done.stderr


@pytest.mark.slow
def test_no_module_of_the_current_folder_is_run(tmp_path, simulated_recording, simulated_store):
    names = (
        "bcclone",
        "numpy",
        "tensorflow",
        "keras",
        "h5py",
        "json",
        "multiprocessing",
        "sitecustomize",
        "yaml",
    )
    for name in names:
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'mark')!r}, 'w').close()\n")
    model = ROOT / "models" / "lake.h5"
    for line in (
        (
            "demo",
            "--folder",
            tmp_path / "demo",
            "--record-laps",
            0.01,
            "--epochs",
            1,
            "--laps",
            0.01,
        ),
        ("evaluate", model, "--laps", 0.01, "-o", tmp_path / "score"),
        ("doctor", "--full", "--port", 0),
        ("preprocess", simulated_recording, "-o", tmp_path / "store", "--shard-mb", 1, "--jobs", 2),
        ("model", simulated_store, "-o", tmp_path / "m.h5", "--epochs", 1, "--no-plots"),
    ):
        done = said(sys.executable, "-P", "-m", "bcclone", *line, "--quiet", cwd=tmp_path)
        assert done.returncode in (0, 1), done.stderr
    assert not (tmp_path / "mark").exists()


@pytest.mark.slow
def test_no_settings_of_numba_in_the_current_folder_are_used(tmp_path):
    (tmp_path / ".numba_config.yaml").write_text(
        f"cache_dir: {tmp_path / 'cache'}\ncpu_name: generic\n"
    )
    code = "import bcclone.simulator.render.road, numba.core.config as c; print(c.CPU_NAME)"
    assert said(sys.executable, "-P", "-c", code, cwd=tmp_path, check=True).stdout == "None\n"
    assert not (tmp_path / "cache").exists()


def test_names_send_no_commands_to_the_terminal(tmp_path):
    name = tmp_path / "a\x1b]0;x\x07\u202e"
    for line in (("preprocess", name, "--check"), ("preprocess", tmp_path, "-o", name / "x.h5")):
        printed = run_script(*line, code=1).stderr
        assert "\\x1b" in printed or "no driving_log" in printed
        assert all(one.isprintable() or one == "\n" for one in printed)
    # what is logged
    (make_recording(name) / UNFINISHED).touch()
    printed = run_process("preprocess", name, "-o", tmp_path / "x.h5").stderr
    assert "\\u202e ended early" in printed
    assert all(one.isprintable() or one == "\n" for one in printed)


@pytest.mark.skipif(sys.platform == "win32", reason="a shell of Unix closes the streams")
@pytest.mark.parametrize(
    "closed",
    [
        "<&- >&- 2>&-",
        *(pytest.param(one, marks=pytest.mark.slow) for one in ("<&-", ">&-", "2>&-", ">&- 2>&-")),
    ],
)
def test_a_closed_standard_stream_is_no_error(closed, simulated_recording, tmp_path):
    for line in (
        ("edit", simulated_recording),
        ("export", simulated_recording, "--to", "csv", "-o", tmp_path / "csv"),
    ):
        done = said("sh", "-c", f'exec "$@" {closed}', "sh", *command_line(*line))
        assert (done.returncode, done.stderr.count("error")) == (0, 0)
    assert (tmp_path / "csv" / "table.csv").stat().st_size


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_settings_of_a_windows_shell_are_read(encoding, simulated_recording, tmp_path):
    text = "size = 32\nseed = 3\n"
    if encoding == "utf-16-be":  # Python writes no mark of its own here
        text = "\ufeff" + text
    (tmp_path / "s.toml").write_bytes(text.encode(encoding))
    words = ("-o", tmp_path / "s.h5", "--settings", tmp_path / "s.toml")
    run_script("preprocess.py", simulated_recording, *words)
    with open_store(tmp_path / "s.h5") as store:
        assert (store.preprocessing.width, store.sample_settings.seed) == (32, 3)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the address space")
@pytest.mark.parametrize(
    ("line", "megabytes"),
    [
        (["preprocess", "{recording}", "-o", "data.h5"], 200),
        (["preprocess", "{recording}", "-o", "data.h5"], 390),
        pytest.param(["preprocess", "{recording}", "-o", "data.h5"], 800, marks=pytest.mark.slow),
        pytest.param(["drive", LAKE, "--port", 0], 1500, marks=pytest.mark.slow),
    ],
)
def test_too_little_memory_is_said(tmp_path, recording, line, megabytes):
    """OpenBLAS and OpenCV may crash; then a note has said why."""
    words = [str(word).format(recording=recording) for word in line]
    script = f'ulimit -c 0; ulimit -v {megabytes * 1024}; exec "$@"'
    done = said("sh", "-c", script, "sh", *command_line(*words), cwd=tmp_path)
    assert f"{megabytes} MB of memory" in done.stderr
    assert done.returncode in (1, -signal.SIGSEGV), done.stderr
    assert "Traceback" not in done.stderr
    assert "rename" not in done.stderr
    assert done.returncode != 1 or "ran out" in done.stderr
    assert not (tmp_path / "data.h5").exists()
