"""README and docs/ agree with the code: options, defaults, commands, file names, links, formats."""

import builtins
import json
import re
import tomllib
from collections import defaultdict
from dataclasses import fields
from pathlib import Path

import pytest
import result_tables

from bcclone.cli import INTERNAL_ERROR
from bcclone.commands import COMMANDS, load_command
from bcclone.commands.command import make_parser
from bcclone.dataset.samples import SAMPLE
from bcclone.dataset.shards import open_store
from bcclone.evaluation.scenarios import SCENARIOS
from bcclone.feed.feed_settings import STRATEGIES
from bcclone.model.model_file import load_model
from benchmarks.__main__ import BENCHMARKS, make_benchmark
from tests.processes import said
from tests.repository.shown import PAGES, parse, shown_on
from tests.running import ROOT

README = (ROOT / "README.md").read_text()
REPORT = ROOT / "writeup_images" / "README.md"
REFERENCE = (ROOT / "docs" / "reference" / "cli.md").read_text()


def parser_of(name):
    return make_parser(load_command(name), name)


def joined(page):
    """Return the text of a page with its lines and paragraphs joined."""
    return " ".join(page.split())


def options_of(parser):
    """Return all long options and metavariables, those of sub-subcommands too."""
    options = {option for action in parser._actions for option in action.option_strings}
    return {option for option in options if option.startswith("--") and option != "--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_table_and_has_a_section(name):
    assert f"| [`bcclone {name}`](#" in REFERENCE
    assert f"| {COMMANDS[name]} |" in REFERENCE
    assert section_of(name)


def section_of(name):
    title = f"## {name}.py" if (ROOT / f"{name}.py").exists() else f"## bcclone {name}"
    return REFERENCE.split(title + "\n")[1].split("\n## ")[0]


def results(name):
    return json.loads((ROOT / "docs" / "results" / f"{name}.json").read_text())


@pytest.mark.parametrize("page", result_tables.PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_tables_of_figures_are_those_of_the_results(page):
    text = page.read_text()
    assert "<!-- table: " in text
    assert result_tables.with_tables(text) == text, "run: python docs/result_tables.py"


def test_the_table_of_models_counts_how_often_the_car_left_the_road():
    (row,) = [row for row in result_tables.models() if row[0].startswith("a Keras 1.2")]
    off = {
        row["row"]: row["models"]["k121"]["interventions"]
        for row in results("suite-others")["rows"]
    }
    assert off["shadows"]
    assert row[2 + result_tables.SUITE_ROWS.index("shadows")].endswith(
        f" ({off['shadows']} off the road)"
    )


def test_the_rows_of_the_lake_are_driven_as_the_readme_says():
    for file, models in (("suite", ("s0", "s1", "s2", "lake")), ("suite-others", ("k211",))):
        lake = [
            row["models"] for row in results(file)["rows"] if not row["row"].startswith("mountain")
        ]
        assert len(lake) == 18
        assert all(row[model]["interventions"] == 0 for row in lake for model in models)


def test_the_figures_of_the_readme_are_those_of_the_results():
    waits = {one["name"]: one["value"] for one in results("waits")["measures"]}
    drive = {one["name"]: one["value"] for one in results("drive")["measures"]}
    for figure in (
        f"`make demo` takes {waits['demo, from nothing to a driven lap']:.0f} s",
        f"takes {waits['model, from the store']:.0f} s from the store",
        f"{waits['model --feed files, from the JPEG files']:.0f} s from the JPEG files",
        f"steers {drive['start to the first steer, .h5']:.0f} s after its start",
        f"in [{least_named_right()} of 100 pairs or more]",
    ):
        assert figure in joined(README), figure


def least_named_right():
    """Return how many of 100 pairs of networks a replay at the road's limit orders as they drive,
    on the road where it does so least often.
    """
    wanted = {"condition": "all", "what": "departures", "by": "road"}
    agreements = results("replay")["agreements"]
    return min(int(one["pairs_percent"][0]) for one in agreements if wanted.items() <= one.items())


def test_the_exit_codes_are_documented():
    listed = REFERENCE.split("Exit codes:")[1].split("\n\n")[0]
    assert set(re.findall(r"\b\d+\b", listed)) == {
        *("0", "1", "2", "129", "130", "143"),
        str(INTERNAL_ERROR),
    }


def test_every_option_that_the_pages_name_exists():
    parsers = [parser_of(name) for name in COMMANDS] + [
        make_parser(make_benchmark(name), name) for name in BENCHMARKS
    ]
    known = set().union(*map(options_of, parsers)) | {"--help"}
    for page in PAGES:
        assert set(re.findall(r"(?<=`)--[a-z][a-z-]+", page.read_text())) <= known, page


def test_every_row_of_the_suite_and_every_feed_is_documented_and_no_other():
    rows = section_of("suite").split("| row | scenario |")[1].split("\n\n")[0]
    assert set(re.findall(r"`([^`]+)`", rows)) == {row.name for row in SCENARIOS}
    page = (ROOT / "docs" / "explanation" / "feeding.md").read_text()
    feeds = page.split("| name | order |")[1].split("\n\n")[0]
    assert sorted(re.findall(r"^\| `([^`]+)`", feeds, re.MULTILINE)) == sorted(STRATEGIES)


def test_every_shown_command_is_accepted_by_its_parser():
    # the changelog says, like a record, what commands were
    pages = [page for page in LINKING if page.name != "CHANGELOG.md"]
    commands = {
        one.text for page in pages if not is_record(page) for one in shown_on(page) if one.ours
    }
    assert len(commands) > 50
    for command in commands:
        parse(command)


def test_every_command_of_the_report_is_accepted_and_every_picture_is_on_it():
    commands = [one.text for one in shown_on(REPORT) if one.ours]
    assert len(commands) > 25
    for text in commands:
        parse(text)
    pictures = {path.name for path in REPORT.parent.iterdir() if path.suffix in (".png", ".gif")}
    assert set(re.findall(r"!\[[^\]]+\]\(([\w.-]+)\)", REPORT.read_text())) == pictures


def test_the_table_of_layers_in_the_report_is_that_of_the_network(untrained_model):
    model = load_model(untrained_model).model
    page = REPORT.read_text()
    table = page[page.index("| layer | output") :].split("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    names = [re.findall(r"`(\w+)`", row[0]) for row in rows]
    assert [name for of_row in names for name in of_row] == [layer.name for layer in model.layers]
    for row, of_row in zip(rows, names, strict=True):
        layers = [model.get_layer(name) for name in of_row]
        assert sum(layer.count_params() for layer in layers) == int(row[2].replace(",", "") or 0)
        shape = "x".join(map(str, layers[-1].output.shape[1:]))
        assert row[1].replace(",", "").split()[-1] == shape
    assert f"{model.count_params():,} parameters" in " ".join(page.split())


def test_every_command_that_made_a_result_is_accepted_by_its_parser():
    for path in (ROOT / "docs" / "results").glob("*.json"):
        for command in json.loads(path.read_text()).get("made_by", []):
            if command.startswith("bcclone "):
                parse(command)


def test_every_room_of_the_code_is_in_the_design_and_the_other_way_round():
    page = (ROOT / "docs" / "explanation" / "design.md").read_text()
    rooms = {f"{path.parent.name}/" for path in (ROOT / "bcclone").glob("*/__init__.py")} | {
        "cli.py"
    }
    assert set(re.findall(r"`(\w+(?:\.py|/))`", page)) - {"bcclone/"} == rooms


def test_the_order_of_the_rooms_on_the_page_is_the_one_that_is_checked():
    page = (ROOT / "docs" / "explanation" / "design.md").read_text()
    block = re.search(r"```\n(commands\n.*?)```", page, re.DOTALL)[1]
    shown = [set(line.split(", ")) for line in block.splitlines()]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = next(each for each in contracts["contracts"] if each["type"] == "layers")["layers"]
    checked = [set(layer.split(" | ")) for layer in layers]
    assert shown == [layer for layer in checked if not layer <= {"__main__", "cli"}]


def test_the_functions_and_tables_that_the_pages_name_exist():
    sources = [
        path for top in ("bcclone", "benchmarks", "tests") for path in (ROOT / top).rglob("*.py")
    ]
    code = "\n".join(path.read_text() for path in [*sources, *(ROOT / "docs").glob("*.py")])
    defined = set(re.findall(r"^\s*(?:def|class) (\w+)", code, re.MULTILINE))
    defined |= set(re.findall(r"^([A-Z_]+)(?::[^=]*)? = ", code, re.MULTILINE))
    of_other_packages = {"get_file"}  # fsspec's, on the page of the dependencies
    for page in LINKING:
        text = page.read_text()
        named = set(re.findall(r"`(?:\w+\.)*(\w+)\(\)`", text))
        if page.name == "CONTRIBUTING.md":
            named |= set(re.findall(r"`(_?[A-Z][A-Z_]+)`", text))
        assert named - of_other_packages <= defined, page


LINKING = [
    *PAGES,
    *(page for page in ROOT.glob("*.md") if page not in PAGES),
    *ROOT.glob("*/README.md"),
]
LINKING += (ROOT / "benchmarks" / "lab-log").glob("*.md")


def test_every_declared_package_is_justified():
    page = (ROOT / "docs" / "explanation" / "dependencies.md").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *sum(project["optional-dependencies"].values(), [])]
    for name in {re.match(r"[\w-]+", one)[0] for one in declared}:
        assert re.search(rf"(?<![\w-]){name}(?![\w-])", page), name


def test_files_that_the_code_refers_to_exist():
    for source in (ROOT / "bcclone").rglob("*.py"):
        for name in re.findall(r"docs/[\w./-]*\w", source.read_text()):
            assert list(ROOT.glob(f"{name}*")), f"{source}: {name}"


def test_modules_that_code_and_pages_name_exist():
    places = ("bcclone", "tests", "benchmarks", "docs", "models", "examples")
    modules = [*ROOT.glob("*.py")]
    for place in places:
        modules += (ROOT / place).rglob("*.py")
    known = {path.name for path in modules}
    of_other_programs = {"manage.py", "myconfig.py", "onnx.py", "tflite.py", "video_utils.py"}
    for source in [
        *(ROOT / "bcclone").rglob("*.py"),
        *PAGES,
        ROOT / "CONTRIBUTING.md",
        ROOT / "pyproject.toml",
    ]:
        named = set(re.findall(r"(?<![\w/{*.-])([a-z_]+\.py)\b", source.read_text()))
        assert named - known <= of_other_programs, source


def test_functions_that_docstrings_and_comments_name_exist():
    """Those of bcclone: `function()` anywhere in it, and `module.function()` in that module."""
    names, prose = defaultdict(set), []
    docstring_or_comment = re.compile(r'(?:\A|:\n) *""".*?"""|#[^\n]*', re.DOTALL)
    for path in (ROOT / "bcclone").rglob("*.py"):
        text = path.read_text()
        prose += [(path, part) for part in docstring_or_comment.findall(text)]
        module = path.parent.name if path.stem == "__init__" else path.stem
        names[module].update(re.findall(r"\w+", docstring_or_comment.sub("", text)))
    foreign = {"kill_workers", "operation_fn", "save_weights", "set_random_seed", "to_csv"}
    known = foreign.union(dir(builtins), *names.values())
    for path, text in prose:
        for module, function in re.findall(r"(?:(\w+)\.)?\b(\w+)\(\)", text):
            of_module = names[module] if module in names and module != "model" else known
            assert function in of_module, f"{path}: {module}.{function}()"


def test_the_store_is_documented_column_by_column(simulated_store):
    page = (ROOT / "docs" / "reference" / "store.md").read_text()
    with open_store(simulated_store) as store:
        settings = (*fields(store.preprocessing), *fields(store.recordings[0]))
        for name in [
            *SAMPLE.names,
            *store.rows.dtype.names,
            *(setting.name for setting in settings),
        ]:
            assert f"`{name}`" in page, name
    assert f"({SAMPLE.itemsize} bytes)" in page


def test_no_file_contains_machine_paths_or_names():
    for name in said("git", "ls-files", cwd=ROOT, check=True).stdout.split():
        path = Path(ROOT / name)
        if path.suffix in (".png", ".h5", ".keras", ".gif"):
            continue
        assert not re.search(r"/(?:work|root)/", path.read_text()), name
    assert "://" not in (ROOT / "constraints.txt").read_text()


# folders of records, which name files and commands of their date
OF_THEIR_TIME = {"decisions", "lab-log"}


def is_record(page):
    return page.name == "CHANGELOG.md" or page.parent.name in OF_THEIR_TIME


# files that commands have made
MADE = {"checkpoints/", "demo/", "plots/", "recordings/", "runs/", "store/"}
NOT_FILES = {  # names within other programs' data sets
    "cam/image_array", "cam/image_array_left", "pilot/", "pilot/throttle",
    "user/angle", "user/mode", "user/steering", "user/throttle",
}  # fmt: skip


def test_links_lead_somewhere_and_files_that_a_page_names_exist():
    for page in LINKING:
        text = page.read_text()
        for link in re.findall(r"\]\(([^)#]+)\)", text):
            assert link.startswith("http") or (page.parent / link).exists(), (page, link)
        if is_record(page):
            continue
        for name in re.findall(r"(?<![\w/.-])((?:bcclone|tests|docs)/[\w/.-]*\w)", text):
            # an environment, or a file to be written
            is_no_file = re.fullmatch(r"bcclone/\w+-v0|.*NAME\.py", name)
            assert is_no_file or list(ROOT.glob(f"{name}*")), (page, name)
        named = set(re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py)?)[`:]", text))
        for name in named - MADE - NOT_FILES:  # also within the package: `feed/`
            assert [*ROOT.glob(f"{name}*"), *(ROOT / "bcclone").glob(f"{name}*")], (page, name)


def test_contributing_lists_every_command_of_make():
    targets = re.findall(r"^([a-z-]+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    listed = re.findall(r"`make ([a-z-]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert set(targets) - {"help"} <= set(listed)
