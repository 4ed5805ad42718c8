"""The wheel holds all that the program needs, and runs far from the checkout that it was built from."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Runs a command and returns what it printed; what it complained of stands in the test's failure."""
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, CHECKOUT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the wheel was installed into, without what it depends on."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, wheel, cwd=folder)
    return folder


def test_it_holds_every_module_and_every_setting(wheel: Path) -> None:
    package = {
        path.relative_to(CHECKOUT).as_posix()
        for path in (CHECKOUT / "anemia_lightning").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    settings = {f"anemia_lightning/{path.relative_to(CHECKOUT)}" for path in (CHECKOUT / "conf").rglob("*.yaml")}
    assert "anemia_lightning/report/run.html.j2" in package
    assert "anemia_lightning/py.typed" in package
    assert "anemia_lightning/conf/train.yaml" in settings
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        assert names == package | settings


def test_it_carries_licence_notice_and_readme(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        described = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if "dist-info" in name}
    assert described["LICENSE"] == (CHECKOUT / "LICENSE").read_text(encoding="utf-8")
    assert "ImageNet" in described["NOTICE"]
    assert "License-Expression: Apache-2.0" in described["METADATA"]
    assert (CHECKOUT / "README.md").read_text(encoding="utf-8") in described["METADATA"]
    assert "anemia-train = anemia_lightning.train:main" in described["entry_points.txt"]


def test_it_trains_and_predicts_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    # Nothing of the checkout may help: not the folder, not an editable installation.
    env = {**os.environ, "PYTHONPATH": str(installed)}
    where = run(sys.executable, "-c", "import anemia_lightning as a; print(a.__file__)", cwd=tmp_path, env=env)
    assert where.strip() == str(installed / "anemia_lightning" / "__init__.py")
    assert list(tmp_path.iterdir()) == []

    small = ("experiment=quick", "trainer.max_epochs=3", "data.patients=24", "data.photos=48", "data.image_size=32")
    told = run(installed / "bin" / "anemia-train", *small, cwd=tmp_path, env=env)
    assert "AUROC is" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "logs"]
    latest = tmp_path / "logs" / "train" / "latest"
    assert "<title>Training run" in (latest / "report.html").read_text(encoding="utf-8")

    run(installed / "bin" / "anemia-evaluate", f"run={latest}", cwd=tmp_path, env=env)
    photos = next((tmp_path / "data").rglob("photos"))
    best = latest / "checkpoints" / "best.ckpt"
    run(installed / "bin" / "anemia-predict", f"ckpt={best}", f"source={photos}", "output=p.csv", cwd=tmp_path, env=env)
    assert len((tmp_path / "p.csv").read_text(encoding="utf-8").splitlines()) == 49
