"""Who may import whom: reads every import of the package and holds the arrows that README draws."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "anemia_lightning"
ROOT = Path(__file__).parents[1] / PACKAGE

FREE = {"contracts", "errors", "files", "machine", "randomness"}
"""What crosses every border, and therefore imports next to nothing of ours."""

# Beside these, each part may import itself, and the commands may import anything.
MAY_IMPORT: dict[str, set[str]] = {
    "contracts": set(),
    "errors": set(),
    "randomness": set(),
    "machine": set(),
    "files": {"errors", "plots"},
    "metrics": {"errors"},
    "plots": {"metrics", "errors"},
    "baselines": {"metrics", "errors"},
    "assessment": {"metrics", "errors", "contracts"},
    "report": {"plots", "metrics", "errors", "files", "contracts"},
    "data": FREE,
    "features": FREE,
    "model": FREE | {"metrics"},
    "engines": FREE | {"model"},
    "callbacks": {"contracts", "errors", "plots", "metrics", "files", ""},
    "wiring": FREE
    | {"metrics", "plots", "baselines", "report", "data", "features", "model", "callbacks", "command_line"},
    "command_line": {"contracts", "errors", "metrics", "files", ""},
}
"""The parts of the package below what commands do; "" is the package itself, which holds the version."""

STEPS = [
    "photos",
    "frozen",
    "looking",
    "judging",
    "comparing",
    "auditing",
    "caching",
    "evaluating",
    "fitting",
    "crossvalidating",
    "benchmarks",
]
"""What commands do, step by step: each may import all parts above, and the steps before it."""

for place, step in enumerate(STEPS):
    MAY_IMPORT[step] = MAY_IMPORT.keys() - STEPS | set(STEPS[:place]) | {""}

NO_SUBJECT = {"utils", "util", "helpers", "helper", "common", "base", "misc"}


def imports(source: str, module: str) -> Iterator[str]:
    """Yields the dotted names that a module imports, at the top or inside functions, relative ones made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")[: -node.level] if node.level else []
            origin = ".".join([*parents, node.module] if node.module else parents)
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def part(name: str) -> str | None:
    """Returns which part of the package a dotted name belongs to: "" for the package itself, None for others'."""
    first, *inner = name.split(".")
    if first != PACKAGE:
        return None
    if inner and ((ROOT / inner[0]).is_dir() or (ROOT / f"{inner[0]}.py").is_file()):
        return inner[0]
    return ""


def wrong_imports(source: str, module: str) -> list[str]:
    """Returns the imports that point against an arrow."""
    importer = part(module)
    allowed = MAY_IMPORT.get(importer or "")
    if allowed is None:
        return []
    return [
        f"{module} imports {name}"
        for name in imports(source, module)
        if (imported := part(name)) is not None and imported not in allowed | {importer}
    ]


def uses_instantiate(source: str) -> bool:
    """Whether a module knows Hydra's instantiate, by whatever way."""
    names = {name for node in ast.walk(ast.parse(source)) for name in _names(node)}
    return "instantiate" in names or any(name.startswith("hydra.utils") for name in imports(source, ""))


def _names(node: ast.AST) -> set[str]:
    return {getattr(node, key, "") for key in ("id", "attr", "name")} - {"", None}


def modules() -> dict[str, str]:
    """Returns the source of each of our modules by its dotted name, without that of the package itself."""
    files = sorted(ROOT.rglob("*.py"))
    return {
        ".".join([PACKAGE, *file.relative_to(ROOT).with_suffix("").parts]): file.read_text(encoding="utf-8")
        for file in files
        if file != ROOT / "__init__.py"
    }


def test_every_import_follows_the_arrows() -> None:
    sources = modules()
    assert len(sources) > 30
    folders = {place.name for place in ROOT.iterdir() if (place / "__init__.py").is_file()}
    assert folders - MAY_IMPORT.keys() == set(), "a new package needs a place among the arrows"
    assert {"data", "model", "metrics", "plots", "callbacks", "baselines", "report"} <= folders
    assert [wrong for name, source in sources.items() for wrong in wrong_imports(source, name)] == []


def test_the_package_itself_imports_nothing() -> None:
    assert list(imports((ROOT / "__init__.py").read_text(encoding="utf-8"), PACKAGE)) == []


def test_only_wiring_turns_settings_into_objects() -> None:
    assert [name for name, source in modules().items() if uses_instantiate(source)] == [f"{PACKAGE}.wiring"]


def test_every_module_has_a_subject() -> None:
    names = {name: name.rsplit(".", 1)[-1].strip("_") for name in modules()}
    assert [name for name, last in names.items() if last in NO_SUBJECT] == []
    folders = {place.name for place in ROOT.rglob("*") if place.is_dir()}
    assert folders.isdisjoint(NO_SUBJECT)


@pytest.mark.parametrize(
    ("module", "line", "imported"),
    [
        ("data.datamodule", "from anemia_lightning.model import classifier", "model.classifier"),
        ("data.datamodule", "from anemia_lightning import model", "model"),
        ("data.datamodule", "def f():\n    import anemia_lightning.callbacks.unfreeze", "callbacks.unfreeze"),
        ("data.sources.table", "from ...model.classifier import AnemiaClassifier", "model.classifier.AnemiaClassifier"),
        ("model.backbone", "if True:\n    from anemia_lightning.data.reading import Framing", "data.reading.Framing"),
        ("model.backbone", "from .. import wiring", "wiring"),
        ("metrics.scores", "from anemia_lightning.contracts import Batch", "contracts.Batch"),
        ("plots.curves", "from anemia_lightning import __version__", "__version__"),
        ("report.html", "from anemia_lightning.data.manifest import photo_id", "data.manifest.photo_id"),
        ("callbacks.run_card", "from anemia_lightning.model import backbone", "model.backbone"),
        ("callbacks.run_card", "from anemia_lightning.randomness import stream", "randomness.stream"),
        ("engines.choice", "from anemia_lightning.data.framing import Framing", "data.framing.Framing"),
        ("model.backbone", "from anemia_lightning.engines.engine import Engine", "engines.engine.Engine"),
        ("wiring", "from anemia_lightning.fitting.training import train_run", "fitting.training.train_run"),
        ("command_line.cli", "from anemia_lightning import wiring", "wiring"),
        ("judging.scoring", "from anemia_lightning.fitting import training", "fitting.training"),
        ("errors", "from anemia_lightning.contracts import Batch", "contracts.Batch"),
    ],
)
def test_a_planted_import_against_an_arrow_is_found(module: str, line: str, imported: str) -> None:
    found = wrong_imports(line, f"{PACKAGE}.{module}")
    assert found == [f"{PACKAGE}.{module} imports {PACKAGE}.{imported}"]


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("data.datamodule", "from anemia_lightning.contracts import Batch\nimport torch\nfrom pathlib import Path"),
        ("data.sources.table", "from ..manifest import build_manifest"),
        ("callbacks.run_card", "from anemia_lightning import __version__"),
        ("engines.choice", "from anemia_lightning.model.backbone import AnemiaNetwork"),
        ("wiring", "from anemia_lightning.model.classifier import AnemiaClassifier"),
        ("fitting.training", "from anemia_lightning import wiring"),
        ("fitting.training", "from anemia_lightning.judging.scoring import Scorer"),
        ("train", "from anemia_lightning.benchmarks.growth import main"),
    ],
)
def test_an_import_along_an_arrow_is_not(module: str, line: str) -> None:
    assert wrong_imports(line, f"{PACKAGE}.{module}") == []


@pytest.mark.parametrize(
    "line", ["from hydra.utils import call", "import hydra\nhydra.utils.instantiate({})", "from hydra import utils"]
)
def test_a_planted_instantiate_is_found(line: str) -> None:
    assert uses_instantiate(line)
    assert not uses_instantiate("import hydra\nhydra.main()")
