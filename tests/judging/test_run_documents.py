"""What the documents of a run say of its photos, in so many words."""

import pytest
from omegaconf import OmegaConf

from anemia_lightning.judging.run_documents import ease, never_seen


@pytest.mark.parametrize(("unnamed", "says"), [(0, "it, its copies or its patient"), (3, "it or its copies")])
def test_a_patient_counts_as_never_seen_only_where_the_data_name_patients(unnamed: int, says: str) -> None:
    assert never_seen({"counts": {"unnamed": unnamed}}) == says


@pytest.mark.parametrize("separation", [1.5, 2.6, 5.0])
def test_drawn_classes_are_told_by_their_distance_alone(separation: float) -> None:
    drawn = OmegaConf.create({"data": {"name": "synthetic", "separation": separation}})
    assert ease(drawn) == [f"The redness of the drawn classes lies {separation} standard deviations apart."]
    real = OmegaConf.create({"data": {"name": "cp_anemic"}})
    assert ease(real) == []
