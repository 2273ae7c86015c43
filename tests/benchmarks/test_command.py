"""python -m benchmarks: every benchmark of the table has its parser, --help is quick to load,
errors are refused.
"""

from dataclasses import replace
from importlib.util import find_spec

import pytest

from bcclone.commands.command import make_parser, parse
from benchmarks.__main__ import BENCHMARKS, main, make_benchmark


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_has_the_common_options_and_reports_an_interrupt(name):
    benchmark = make_benchmark(name)
    assert parse(benchmark, [name], ["--json", "--quiet", "--check-bars"])["check_bars"]
    assert "nothing was kept" in benchmark.after_interrupt
    assert benchmark.description in make_parser(benchmark, name).format_help()


@pytest.mark.parametrize("words", [(), ("nonsense",)])
def test_an_unknown_benchmark_is_refused_with_the_names(words, capsys):
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert "NAME" in capsys.readouterr().err


def test_help_lists_the_benchmarks(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(name in shown for name in BENCHMARKS)


def test_a_benchmark_whose_package_is_missing_says_what_installs_it(monkeypatch, capsys):
    monkeypatch.setitem(BENCHMARKS, "drive", replace(BENCHMARKS["drive"], needs=("not_there",)))
    assert main(["drive"]) == 1
    error = capsys.readouterr().err
    assert all(word in error for word in ("benchmark drive", "not_there", "pip install '.[dev]'"))


def test_development_installs_all_that_the_benchmarks_need():
    needs = [module for entry in BENCHMARKS.values() for module in entry.needs]
    assert needs
    assert all(map(find_spec, needs))
