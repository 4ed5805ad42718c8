import re

import pandas as pd

from anemia_lightning.data.overlap import find_overlap, find_related, photo_hashes
from anemia_lightning.errors import OverlapError


def facts(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["photo", "file_sha256", "pixels_sha256", "turned_sha256"])


TRAINED = facts(("a", "f1", "p1", "t1"), ("b", "f2", "p2", "t2"), ("c", "f2", "p2", "t2"))


def test_each_photograph_met_is_found_by_any_of_its_hashes() -> None:
    others = facts(
        ("same/file", "f1", "p1", "t1"),
        ("same/pixels", "f7", "p2", "t2"),
        ("turned", "f8", "p8", "t2"),
        ("new", "f9", "p9", "t9"),
    )
    assert find_overlap(others, photo_hashes(TRAINED)) == ["same/file", "same/pixels", "turned"]
    assert find_overlap(facts(("new", "f9", "p9", "t9")), photo_hashes(TRAINED)) == []


def test_patients_and_copies_of_what_was_met_are_related_to_it_directly_or_through_others() -> None:
    manifest = pd.DataFrame(
        [
            ("met", "P", "g"),
            ("patient", "P", "h"),
            ("copy", "Q", "g"),
            ("copy of patient", "R", "h"),
            ("new", "S", "i"),
        ],
        columns=["photo", "patient", "photo_group"],
    )
    assert find_related(manifest, ["met"]) == ["patient", "copy", "copy of patient"]
    for alone in (["new"], manifest["photo"].tolist(), []):
        assert find_related(manifest, alone) == []


def test_a_hash_of_one_kind_is_none_of_another() -> None:
    assert find_overlap(facts(("x", "p1", "t1", "f1")), photo_hashes(TRAINED)) == []


def test_what_is_unknown_is_not_alike() -> None:
    unknown = facts(("x", "", "", ""))
    assert photo_hashes(unknown) == []
    assert find_overlap(unknown, photo_hashes(facts(("y", "f", "", "")))) == []


def test_a_checkpoint_gets_short_sorted_plain_texts_that_name_nothing() -> None:
    hashes = photo_hashes(TRAINED)
    assert len(hashes) == 6, "copies stand once"
    assert hashes == sorted(hashes)
    assert photo_hashes(TRAINED[::-1]) == hashes
    assert all(type(each) is str and re.fullmatch("[0-9a-f]{16}", each) for each in hashes)


def test_the_refusal_counts_and_names_them() -> None:
    assert str(OverlapError([f"s/{number}" for number in range(12)], 100)) == (
        "Looked for photographs that neither trained nor chose the model; "
        "found 12 of 100 that did: s/0, s/1, s/2, s/3, s/4 and 7 more. "
        "Leave these out with evaluation.on_overlap=drop, "
        "or keep them and have it said beside the scores with evaluation.on_overlap=report."
    )
    assert "found 2 of 9 that did, beside 3 with a patient or a copy in common: a, b." in (
        str(OverlapError(["a", "b"], 9, related=3))
    )
