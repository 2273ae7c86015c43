"""Shells complete every command and its options."""

import subprocess

import pytest

from bcclone.commands import COMMANDS
from tests.running import run_script


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_each_shell_completes_every_command(shell):
    script = run_script("completion", shell).stdout
    assert all(word in script for name in COMMANDS for word in name.split())
    assert "allow-from" in script


def test_bash_takes_the_completion_and_completes_with_it(tmp_path):
    script = tmp_path / "bcclone"
    script.write_text(run_script("completion", "bash").stdout)
    typed = "COMP_WORDS=(bcclone evaluate --rever); COMP_CWORD=2"
    ask = f"source {script}; {typed}; _shtab_bcclone; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["--reverse"]
