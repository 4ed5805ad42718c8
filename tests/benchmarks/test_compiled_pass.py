"""What is said of a compiled pass follows from what was measured."""

import json

import pytest

from anemia_lightning.benchmarks import compiled_pass

FOUND = {"plain_images_per_s": 50.0, "compiled_images_per_s": 62.5, "compiling_s": 4.0, "largest_difference": 0.0}


def test_it_pays_once_what_it_saves_is_what_compiling_took() -> None:
    # 20 ms an image in place of 16.
    assert "compiling takes 4.0 s and pays from 1,000 images on." in compiled_pass.summary(FOUND)


def test_what_saves_nothing_never_pays() -> None:
    assert "never pays here" in compiled_pass.summary({**FOUND, "compiled_images_per_s": 50.0})


@pytest.mark.slow
def test_both_passes_are_timed_on_the_same_images(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # put back afterwards
    settings = ["model.backbone=resnet18", "data.image_size=64", "trainer.precision=32-true"]
    assert compiled_pass.main(["--images", "4", "--rounds", "3", *settings]) == 0
    line, words = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found.keys() == FOUND.keys()
    assert min(found["plain_images_per_s"], found["compiled_images_per_s"], found["compiling_s"]) > 0
    assert found["largest_difference"] < 1e-4
    assert words == compiled_pass.summary(found)
