"""The notebooks run from top to bottom, somewhere else, and lie in the repository without outputs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

CHECKOUT = Path(__file__).parents[1]
NOTEBOOKS = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))


def read(notebook: Path) -> nbformat.NotebookNode:
    content: nbformat.NotebookNode = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    return content


def test_the_notebooks_are_found() -> None:
    assert [notebook.name for notebook in NOTEBOOKS] == ["1_train_and_look.ipynb", "2_what_copies_do.ipynb"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_thin_and_carries_no_outputs(notebook: Path) -> None:
    cells = read(notebook).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)
    assert max(len(cell.source.splitlines()) for cell in code) < 20
    assert cells[0].source.startswith("# ")


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")])))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    (tmp_path / "here").mkdir()
    content = read(notebook)
    NotebookClient(content, timeout=600, resources={"metadata": {"path": str(tmp_path / "here")}}).execute()
    shown = [output for cell in content.cells if cell.cell_type == "code" for output in cell.outputs]
    images = [output for output in shown if "image/png" in output.get("data", {})]
    assert len(images) >= 2
    assert {path.name for path in (tmp_path / "here").iterdir()} <= {"data", "logs"}
