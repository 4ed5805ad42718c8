"""Table 1: what it counts, what it leaves out, and that its differences are those of the metrics."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from anemia_lightning.metrics.balance import categories_differ, numbers_differ
from anemia_lightning.report.sections import Table
from anemia_lightning.report.table1 import describe_people, write_table1


def photos(people: int = 60, *, parts: tuple[str, ...] = ("train", "val", "test")) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "photo": [f"s/{number}.png" for number in range(people)],
            "patient": [f"p{number}" for number in range(people)],
            "label": draw.integers(0, 2, people),
            "split": [parts[number % len(parts)] for number in range(people)],
            "age_months": draw.uniform(6, 60, people),
            "hemoglobin_g_dl": draw.normal(10.5, 1.5, people),
            "sex": draw.choice(["female", "male"], people),
            "severity": draw.choice(["none", "mild", "severe"], people),
            "site": draw.choice(["Accra", "Kumasi"], people),
            "source": "one",
        }
    )


def row(table: Table, head: str) -> dict[str, str]:
    (found,) = [cells for cells in table.rows if cells[0] == head]
    return dict(zip(table.columns, found, strict=True))


def heads(table: Table) -> list[str]:
    return [cells[0] for cells in table.rows]


def test_grades_stand_in_their_order_and_other_texts_by_how_common_they_are() -> None:
    rows = photos(6).assign(
        severity=["severe"] * 3 + ["none", "mild", "none"],
        pregnancy=["yes", "2", "2", "2", "no", "1"],
        site=["Accra", "Kumasi", "Kumasi", "Kumasi", "Tamale", "Tamale"],
    )
    told = heads(describe_people(rows).tables[0])
    for column, values in {
        "severity": ["none", "mild", "severe"],
        "pregnancy": ["no", "1", "2", "yes"],
        "site": ["Kumasi", "Tamale", "Accra"],
    }.items():
        assert [head for head in told if head.startswith(column)] == [f"{column}: {value}" for value in values]


def test_each_part_is_described_and_compared_with_the_first() -> None:
    rows = photos()
    table = describe_people(rows, order=["train", "val", "test"]).tables[0]
    assert table.columns == ["characteristic", "train", "val", "test", "SMD train / val", "SMD train / test"]
    assert row(table, "patients")["val"] == "20"
    train, test = rows[rows["split"] == "train"], rows[rows["split"] == "test"]
    age = row(table, "age, months")
    assert age["train"] == f"{train['age_months'].mean():.1f} ({train['age_months'].std():.1f})"
    assert age["SMD train / test"] == f"{numbers_differ(train['age_months'], test['age_months']):.2f}"
    women = int((train["sex"] == "female").sum())
    assert row(table, "sex: female")["train"] == f"{women} ({women / 20:.0%})"
    severities = [
        [int((part["severity"] == name).sum()) for name in ("none", "mild", "severe")] for part in (train, test)
    ]
    (first, *others) = [cells for cells in table.rows if cells[0].startswith("severity: ")]
    assert first[-1] == f"{categories_differ(*severities):.2f}"
    assert all(cells[-2:] == ["", ""] for cells in others), "the difference of a whole distribution stands once"
    assert not any(head.startswith("source") for head in heads(table)), "what all share tells nothing"


def test_a_patient_counts_once() -> None:
    rows = photos(6)
    again = rows.iloc[[0, 0]].assign(age_months=[10.0, np.nan], sex=["", "male"], label=1)
    rows = pd.concat([again, rows.iloc[1:]], ignore_index=True)
    table = describe_people(rows).tables[0]
    assert row(table, "patients")["train"] == "2"
    assert row(table, "photos")["train"] == "3"
    ages = [10.0, rows.loc[rows["patient"] == "p3", "age_months"].item()]
    assert row(table, "age, months")["train"] == f"{np.mean(ages):.1f} ({np.std(ages, ddof=1):.1f})"
    assert not any("unknown" in head for head in heads(table))


def test_what_is_unknown_is_counted_apart() -> None:
    rows = photos()
    rows.loc[rows["split"] == "val", ["age_months"]] = np.nan
    rows.loc[:2, "sex"] = ""
    table = describe_people(rows).tables[0]
    assert row(table, "age, months")["val"] == "-"
    assert row(table, "age, months")["SMD train / val"] == "undefined"
    assert row(table, "age, months: unknown")["val"] == "20 (100%)"
    assert row(table, "sex: unknown")["train"] == "1 (5%)"


def test_classes_are_compared_too_without_their_own_name() -> None:
    rows = photos()
    table = describe_people(rows).tables[1]
    assert table.columns == ["characteristic", "anaemic", "not anaemic", "SMD anaemic / not anaemic"]
    assert row(table, "patients")["anaemic"] == str(rows["label"].sum())
    anaemic, others = (rows[rows["label"] == label]["hemoglobin_g_dl"] for label in (1, 0))
    shown = row(table, "haemoglobin, g/dL")["SMD anaemic / not anaemic"]
    assert shown == f"{numbers_differ(anaemic, others):.2f}"
    assert not any(head.startswith("anaemic") for head in heads(table))


def test_of_many_parts_the_largest_difference_is_shown() -> None:
    names = ("fold-0", "fold-1", "fold-2", "fold-3", "fold-4")
    rows = photos(parts=names)
    table = describe_people(rows).tables[0]
    assert table.columns == ["characteristic", *names, "largest SMD"]
    ages = [rows[rows["split"] == name]["age_months"] for name in names]
    pairs = [numbers_differ(one, other) for place, one in enumerate(ages) for other in ages[place + 1 :]]
    largest = max((pair for pair in pairs if pair is not None), key=abs)
    assert row(table, "age, months")["largest SMD"] == f"{largest:.2f}"


def test_what_chance_alone_gives_is_said_of_the_smallest_parts() -> None:
    of_parts, of_classes = describe_people(photos(60), order=["train", "val", "test"]).says[1:]
    assert of_parts == (
        "Chance alone makes parts of the data differ: between 20 and 20 patients an SMD has a standard error of about "
        "0.32, and that of a trait with several values comes out larger still."
    )
    labels = photos(60)["label"]
    assert f"makes classes differ: between {labels.sum()} and {60 - labels.sum()} patients" in of_classes
    unequal = photos(60).assign(split=["train"] * 50 + ["val"] * 6 + ["test"] * 4)
    assert "between 50 and 4 patients an SMD has a standard error of about 0.52" in describe_people(unequal).says[1]


def test_without_patients_photos_are_counted() -> None:
    rows = photos(60)
    nobody = describe_people(rows.assign(patient=rows["photo"]))
    assert nobody.says[0].startswith("Photos are counted, since the data name no patients. Numbers: mean")
    assert "between 20 and 20 photos an SMD" in nobody.says[1]
    assert not any(head.startswith("patients") for table in nobody.tables for head in heads(table))
    some = describe_people(rows.assign(patient=rows["patient"].where(rows["site"] == "Accra", rows["photo"])))
    assert "Each photo of which the data do not name the patient counts as a patient of its own." in some.says[0]
    assert row(some.tables[0], "patients") == row(describe_people(rows).tables[0], "patients")


def test_what_a_label_was_adjusted_for_and_what_took_the_photos_is_shown() -> None:
    rows = photos(60).assign(altitude_m=800.0, cigarettes_per_day=0.0, device=["phone", "tablet"] * 30)
    table = describe_people(rows).tables[0]
    assert row(table, "altitude, m")["train"] == "800.0 (0.0)"
    assert {"cigarettes per day", "device: phone", "device: tablet"} <= set(heads(table))


def test_one_part_is_compared_with_none() -> None:
    says = describe_people(photos().assign(split="test")).says
    assert not any("parts of the data differ" in sentence for sentence in says)
    assert describe_people(photos().assign(split="test", label=1)).says[1:] == []


def test_of_folds_it_says_that_these_are_test_parts_and_that_the_largest_pair_is_shown() -> None:
    section = describe_people(photos(parts=("fold-0", "fold-1", "fold-2", "fold-3")))
    assert section.tables[0].caption == "Characteristics by part of the data: the test part of each fold"
    assert section.says[1].endswith("Shown is the largest of 6 pairs.")
    assert describe_people(photos()).tables[0].caption == "Characteristics by part of the data"


def test_what_defines_the_classes_cannot_be_mistaken_for_them() -> None:
    caption = describe_people(photos()).tables[1].caption
    assert "other than haemoglobin and severity, which define the classes" in caption


def test_of_many_values_the_commonest_are_named() -> None:
    rows = photos(200).assign(site=[f"site {number % 40}" for number in range(200)])
    table = describe_people(rows).tables[0]
    sites = [head for head in heads(table) if head.startswith("site: ")]
    assert len(sites) == 16
    assert sites[-1] == "site: 25 others"


def test_a_table_of_labels_alone_is_enough() -> None:
    table = describe_people(photos()[["photo", "patient", "label", "split"]]).tables[0]
    assert sorted(heads(table)) == ["anaemic: no", "anaemic: yes", "patients", "photos"]


@pytest.mark.parametrize("part", ["val", "test"])
def test_it_lies_in_a_file_with_names_taken_literally(tmp_path: Path, part: str) -> None:
    rows = photos().assign(site="a|b")
    rows.loc[rows["split"] == part, "site"] = "<i>"
    write_table1(tmp_path / "table1.md", describe_people(rows))
    text = (tmp_path / "table1.md").read_text(encoding="utf-8")
    assert text.startswith("# Who is in the data (Table 1)\n")
    assert "not a diagnosis" in text
    assert r"| site: a\|b |" in text
    assert r"| site: \<i\> |" in text
