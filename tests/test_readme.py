"""README keeps its word: each command in it composes, and those that need nothing else run."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from anemia_lightning import __version__
from anemia_lightning.command_line.settings import CONF, compose, flat_settings
from anemia_lightning.command_line.settings_check import check_settings, check_sweep
from anemia_lightning.errors import ConfigError

CHECKOUT = Path(__file__).parents[1]
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")

# A block, and what it needs if that is more than the program itself.
BLOCK = re.compile(r"(?:^<!-- needs: (?P<needs>[^\n]+) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
INLINE = re.compile(r"`([^`\n]+)`")
SETTING = re.compile(r"^[a-z_]+(\.[a-z_]+)*=[^=…]")
NAME = re.compile(r"^[a-z_]+(\.[a-z_]+)+$")
VERBS = ("audit", "train", "crossval", "evaluate", "predict", "compare", "cache", "benchmark")
BENCHMARKS = {"claims": "crossval", "views": "crossval", "inference": "evaluate"}
"""Whose settings a measurement takes."""
SOURCES = ("synthetic", "folder", "table", "cp_anemic", "eyes_defy", "union")
WHOSE = [*((verb,) for verb in VERBS), *(("train", f"data={source}") for source in SOURCES)]
"""Commands, and training on each kind of data, whose settings the text may name."""


class Block(NamedTuple):
    """A fenced block."""

    needs: str | None
    language: str
    text: str


BLOCKS = [Block(*found.group("needs", "language", "text")) for found in BLOCK.finditer(README)]
SHELL = [block for block in BLOCKS if block.language == "bash"]
SET_UP, EXAMPLES = SHELL[:2], SHELL[2:]
PROSE = BLOCK.sub("", README)


def command_lines() -> Iterator[list[str]]:
    """Yields the words of each command line of ours, in blocks and in the text: verb first."""
    spans = [line for block in SHELL for line in block.text.splitlines()] + INLINE.findall(PROSE)
    for span in spans:
        for command in span.split(" && "):
            words = shlex.split(command)
            if found := re.search(r"python3? -m anemia_lightning\.(\w+)(?![\w.])", command):
                yield [found[1], *words[words.index(f"anemia_lightning.{found[1]}") + 1 :]]
            elif found := re.search(r"python3? -m anemia_lightning\.benchmarks\.(claims|views|inference)", command):
                yield [BENCHMARKS[found[1]], *(word for word in words if "=" in word)]
            elif len(words) > 1 and words[0].startswith("anemia-"):
                yield [words[0].removeprefix("anemia-"), *words[1:]]


COMMANDS = list(command_lines())
SETTINGS = [
    words for span in dict.fromkeys(INLINE.findall(PROSE)) if SETTING.match((words := shlex.split(span) or [""])[0])
]


def test_the_blocks_are_found() -> None:
    assert README.count("\n```") == 2 * len(BLOCKS)
    assert [block.language for block in BLOCKS].count("bash") == 19
    assert [block.needs for block in SHELL if block.needs] == [
        "cp_anemic, eyes_defy, imagenet weights",
        "your own photographs",
        "your own photographs",
        "cp_anemic, the weights file",
        "cp_anemic",
        "cp_anemic, the weights file",
        "cp_anemic, imagenet weights",
        "cp_anemic, a model",
    ]
    assert len(COMMANDS) >= 14
    assert {verb for verb, *_ in COMMANDS} == set(VERBS)
    assert len(SETTINGS) > 30


def test_the_first_two_blocks_set_everything_up() -> None:
    train, test = (block.text.splitlines() for block in SET_UP)
    assert train == [
        "python3 -m venv .venv && .venv/bin/pip install -e '.[rich]' && .venv/bin/python -m anemia_lightning.train"
    ]
    assert test == [".venv/bin/pip install -e '.[dev]' && .venv/bin/python -m pytest -n 2"]


def test_continuous_integration_runs_what_readme_says() -> None:
    script = (CHECKOUT / ".ci" / "run").read_text(encoding="utf-8")
    extract = re.search(r"mapfile -t commands < <\((.*)\)", script)
    assert extract
    found = subprocess.run(["bash", "-c", extract[1]], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert found.stdout == "".join(block.text for block in SET_UP)
    assert "pip install" not in script
    assert os.access(CHECKOUT / ".ci" / "run", os.X_OK)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_line_composes(command: list[str]) -> None:
    verb, *words = command
    overrides = [word for word in words if not word.startswith("-")]
    if "-m" in words:
        check_sweep(verb, overrides)
    else:
        check_settings(compose(verb, overrides))


@pytest.mark.parametrize("words", SETTINGS, ids=" ".join)
def test_every_setting_in_the_text_is_known(words: list[str]) -> None:
    names = {word.partition("=")[0] for word in words}
    # To refuse a setting takes longer than to compose it: those alone are asked that know the names, but Hydra's own.
    ours = [name for name in names if not (name.startswith("hydra.") or (CONF / name).is_dir())]
    asked = [each for each in WHOSE if all(name in known(*each) for name in ours)]
    assert any(composes(verb, [*chosen, *words]) for verb, *chosen in asked)


@cache
def known(verb: str, *overrides: str) -> set[str]:
    return set(flat_settings(compose(verb, overrides)))


def composes(verb: str, overrides: list[str]) -> bool:
    try:
        compose(verb, overrides)
    except ConfigError:
        return False
    return True


def test_every_name_of_a_setting_in_the_text_is_known() -> None:
    settings = {key for verb, *chosen in WHOSE if verb == "train" for key in known(verb, *chosen)}
    groups = {key.split(".")[0] for key in settings}
    settings |= {key for each in WHOSE for key in known(*each)}
    named = {name for name in INLINE.findall(PROSE) if NAME.match(name) and name.split(".")[0] in groups}
    assert len(named) >= 5
    assert named <= settings


def test_what_is_not_there_is_noticed() -> None:
    assert not composes("train", ["model.bakbone=resnet18"])
    assert not composes("train", ["scheduler=plato"])


def test_every_preset_is_named() -> None:
    for group in ("experiment", "debug"):
        presets = {path.stem for path in (CONF / group).glob("*.yaml")} - {"default"}
        assert {preset for preset in presets if f"`{group}={preset}`" not in PROSE} == set()


def test_every_program_that_is_named_is_installed() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {name for name in INLINE.findall(PROSE) if re.fullmatch(r"anemia-\w+", name)}
    assert named == project["scripts"].keys() == {f"anemia-{verb}" for verb in VERBS}
    extras = {extra for match in re.findall(r"'\.\[(.+?)\]'", README) for extra in match.split(",")}
    assert extras == project["optional-dependencies"].keys()


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"(?:tests|conf|notebooks|anemia_lightning)/[\w/]*\w\.\w+|\.ci/run", README))
    assert len(named) > 10
    assert {name for name in named if not (CHECKOUT / name).is_file()} == set()


def test_every_part_of_the_package_has_its_line() -> None:
    house = next(block.text for block in BLOCKS if "anemia_lightning/\n" in block.text)
    parts = {
        f"{path.name}/" if path.is_dir() else path.name
        for path in (CHECKOUT / "anemia_lightning").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    assert {part for part in parts - {"__init__.py"} if part not in house} == set()


def test_every_link_within_the_file_leads_somewhere() -> None:
    headings = re.findall(r"^#+ (.+)$", PROSE, re.M)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    links = set(re.findall(r"\]\(([^)]+)\)", PROSE))
    assert {link for link in links if link.startswith("#") and link[1:] not in anchors} == set()
    files = {link for link in links if not link.startswith(("#", "https://"))}
    assert {link for link in files if not (CHECKOUT / link).is_file()} == set()


def test_the_change_log_and_the_citation_tell_the_version() -> None:
    assert f"\n### {__version__}\n" in README
    assert f"version = {{{__version__}}}" in README


@pytest.mark.slow
def test_the_examples_run_one_after_the_other(tmp_path: Path) -> None:
    runnable = [block.text for block in EXAMPLES if block.needs is None]
    assert len(runnable) == 9
    paths = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")])),
    }
    for commands in runnable:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=tmp_path,
            env={**os.environ, **paths},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}\n{done.stderr}"
    runs = sorted(path.relative_to(tmp_path / "logs").as_posix() for path in tmp_path.glob("logs/*/*/*/report.html"))
    assert len(runs) == 5, runs
    assert len(list(tmp_path.glob("logs/train/multiruns/*/*/report.html"))) == 2
