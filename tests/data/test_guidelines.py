import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anemia_lightning.contracts import UNKNOWN_LABEL
from anemia_lightning.data.guidelines import Person, anaemia, fixed_cutoff, is_impossible_pregnancy, missing_input
from anemia_lightning.errors import ConfigError

SEVERITIES = ("none", "mild", "moderate", "severe")


def adult(sex: str = "female", pregnancy: str = "no", years: float = 30) -> Person:
    return Person(12 * years, sex, pregnancy, altitude_m=0, cigarettes_per_day=0)


def child(months: float, sex: str = "female") -> Person:
    return Person(months, sex, "no" if months >= 120 and sex == "female" else "", 0, 0)


# As printed in the guidelines, in g/L: anaemia below, mild, moderate, severe below.
CELLS: dict[tuple[str, str], tuple[Person, int, tuple[int, int], tuple[int, int], int]] = {
    ("who2024", "6 months"): (child(6), 105, (95, 104), (70, 94), 70),
    ("who2024", "23 months"): (child(23), 105, (95, 104), (70, 94), 70),
    ("who2024", "almost 24 months"): (child(23.9), 105, (95, 104), (70, 94), 70),
    ("who2024", "24 months"): (child(24), 110, (100, 109), (70, 99), 70),
    ("who2024", "59 months"): (child(59), 110, (100, 109), (70, 99), 70),
    ("who2024", "5 years"): (child(60), 115, (110, 114), (80, 109), 80),
    ("who2024", "11 years"): (child(143), 115, (110, 114), (80, 109), 80),
    ("who2024", "12 years"): (child(144), 120, (110, 119), (80, 109), 80),
    ("who2024", "12 years, boy"): (child(144, "male"), 120, (110, 119), (80, 109), 80),
    ("who2024", "14 years, boy"): (child(179, "male"), 120, (110, 119), (80, 109), 80),
    ("who2024", "girl of 15"): (adult(years=15), 120, (110, 119), (80, 109), 80),
    ("who2024", "boy of 15"): (adult("male", "", years=15), 130, (110, 129), (80, 109), 80),
    ("who2024", "woman of 65"): (adult(years=65.9), 120, (110, 119), (80, 109), 80),
    ("who2024", "man of 65"): (adult("male", "", years=65.9), 130, (110, 129), (80, 109), 80),
    ("who2024", "first trimester"): (adult(pregnancy="1"), 110, (100, 109), (70, 99), 70),
    ("who2024", "second trimester"): (adult(pregnancy="2"), 105, (95, 104), (70, 94), 70),
    ("who2024", "third trimester"): (adult(pregnancy="3"), 110, (100, 109), (70, 99), 70),
    ("who2024", "pregnant at 13"): (adult(pregnancy="3", years=13), 110, (100, 109), (70, 99), 70),
    ("who2011", "6 months"): (child(6), 110, (100, 109), (70, 99), 70),
    ("who2011", "23 months"): (child(23), 110, (100, 109), (70, 99), 70),
    ("who2011", "24 months"): (child(24), 110, (100, 109), (70, 99), 70),
    ("who2011", "59 months"): (child(59), 110, (100, 109), (70, 99), 70),
    ("who2011", "5 years"): (child(60), 115, (110, 114), (80, 109), 80),
    ("who2011", "11 years"): (child(143), 115, (110, 114), (80, 109), 80),
    ("who2011", "12 years"): (child(144), 120, (110, 119), (80, 109), 80),
    ("who2011", "14 years, boy"): (child(179, "male"), 120, (110, 119), (80, 109), 80),
    ("who2011", "girl of 15"): (adult(years=15), 120, (110, 119), (80, 109), 80),
    ("who2011", "boy of 15"): (adult("male", "", years=15), 130, (110, 129), (80, 109), 80),
    ("who2011", "woman of 66"): (adult(years=66), 120, (110, 119), (80, 109), 80),
    ("who2011", "man of 90"): (adult("male", "", years=90), 130, (110, 129), (80, 109), 80),
    ("who2011", "first trimester"): (adult(pregnancy="1"), 110, (100, 109), (70, 99), 70),
    ("who2011", "second trimester"): (adult(pregnancy="2"), 110, (100, 109), (70, 99), 70),
    ("who2011", "third trimester"): (adult(pregnancy="3"), 110, (100, 109), (70, 99), 70),
    ("who2011", "any trimester"): (adult(pregnancy="yes"), 110, (100, 109), (70, 99), 70),
}


def sides_of_every_boundary() -> Iterator[tuple[str, Person, float, str]]:
    for (rule, _), (person, cutoff, mild, moderate, severe) in CELLS.items():
        assert (cutoff, mild[0], moderate[0]) == (mild[1] + 1, moderate[1] + 1, severe)
        for grams_per_litre, severity in (
            *((cutoff, "none"), (mild[1], "mild"), (mild[0], "mild")),
            *((moderate[1], "moderate"), (moderate[0], "moderate"), (severe - 1, "severe")),
        ):
            yield rule, person, grams_per_litre / 10, severity
        # What lies between two printed grades belongs to the lower haemoglobin.
        for boundary, below in ((cutoff, "mild"), (mild[0], "moderate"), (moderate[0], "severe")):
            yield rule, person, boundary / 10 - 0.01, below
            yield rule, person, boundary / 10 - 0.001, below


def test_every_cell_of_both_guidelines_on_both_sides_of_every_boundary() -> None:
    checked = 0
    for rule, person, hemoglobin, severity in sides_of_every_boundary():
        found = anaemia(hemoglobin, person, rule=rule)
        assert (found.label, found.severity) == (int(severity != "none"), severity), (rule, person, hemoglobin)
        checked += 1
    assert checked == 12 * len(CELLS)


@pytest.mark.parametrize(
    ("rule", "person", "obstacle"),
    [
        ("who2024", child(5.9), "an age below 6 months, for which who2024 has no cut-off"),
        ("who2011", child(5), "an age below 6 months, for which who2011 has no cut-off"),
        ("who2024", adult(years=66), "an age above 65 years, for which who2024 has no cut-off"),
        ("who2024", Person(12, altitude_m=5000), "an altitude from 5000 m on, for which who2024 has no adjustment"),
        ("who2024", adult("male", "2"), "a pregnancy of a male or of a child below 10 years"),
        ("who2011", child(100)._replace(pregnancy="yes"), "a pregnancy of a male or of a child below 10 years"),
        ("who2011", adult("x"), "the sex 'x', which is neither female nor male"),
        ("who2024", Person(), "no age_months"),
        ("who2024", Person(12), "no altitude_m"),
        ("who2024", adult(pregnancy=""), "no pregnancy"),
        ("who2024", adult(pregnancy="yes"), "no trimester"),
        ("who2024", adult(sex=""), "no sex"),
        ("who2011", adult()._replace(cigarettes_per_day=math.nan), "no cigarettes_per_day"),
    ],
)
def test_where_a_guideline_says_nothing_it_says_why(rule: str, person: Person, obstacle: str) -> None:
    found = anaemia(10, person, rule=rule)
    assert (found.label, found.severity, found.obstacle) == (UNKNOWN_LABEL, "", obstacle)
    assert math.isnan(found.margin_g_dl)


@pytest.mark.parametrize("rule", ["who2024", "who2011", "fixed:11"])
def test_without_a_haemoglobin_there_is_no_label(rule: str) -> None:
    assert anaemia(math.nan, adult(), rule=rule)[:2] == (UNKNOWN_LABEL, "")
    assert anaemia(math.nan, adult(), rule=rule).obstacle == "no haemoglobin"


@pytest.mark.parametrize(
    ("rule", "trimester", "cutoff"), [("who2024", "2", 10.5), ("who2024", "3", 11), ("who2011", "2", 11)]
)
def test_the_pregnant_need_no_age(rule: str, trimester: str, cutoff: float) -> None:
    person = Person(pregnancy=trimester, altitude_m=0, cigarettes_per_day=0)
    assert [anaemia(hb, person, rule=rule).label for hb in (cutoff, cutoff - 0.1)] == [0, 1]


# From this altitude in m on, haemoglobin is higher by so many g/L.
ALTITUDES = {
    "who2024": {500: 4, 1000: 8, 1500: 11, 2000: 14, 2500: 18, 3000: 21, 3500: 25, 4000: 29, 4500: 33},
    "who2011": {1000: 2, 1500: 5, 2000: 8, 2500: 13, 3000: 19, 3500: 27, 4000: 35, 4500: 45},
}


@pytest.mark.parametrize("rule", ALTITUDES)
def test_every_band_of_altitude_at_both_its_ends(rule: str) -> None:
    firsts = list(ALTITUDES[rule])
    ends = [(-100.0, 0), (0, 0), (firsts[0] - 0.1, 0)]
    for first, following in zip(firsts, [*firsts[1:], 5000], strict=True):
        ends += [(first, ALTITUDES[rule][first]), (following - 0.1, ALTITUDES[rule][first])]
    for altitude, minus in ends:
        person = adult()._replace(altitude_m=altitude)
        assert anaemia((120 + minus) / 10, person, rule=rule).label == 0
        assert anaemia((120 + minus) / 10 - 0.01, person, rule=rule).label == 1
    assert anaemia(16.5, adult()._replace(altitude_m=5500), rule="who2011").margin_g_dl == 0


def test_the_bands_of_altitude_follow_the_curve_that_the_guideline_of_2024_fits() -> None:
    for middle in range(250, 5000, 500):
        by_curve = 0.0056384 * middle + 0.0000003 * middle**2
        person = adult()._replace(altitude_m=middle)
        by_band = 10 * (13 - 12 - anaemia(13, person, rule="who2024").margin_g_dl)
        assert by_band == pytest.approx(by_curve if middle > 500 else 0, abs=0.9)


@pytest.mark.parametrize(
    ("rule", "bands"),
    [
        ("who2024", [(0, 0), (0.5, 3), (1, 3), (9.9, 3), (10, 5), (19, 5), (20, 6), (60, 6)]),
        ("who2011", [(0, 0), (0.5, 3), (1, 3), (9, 3), (10, 3), (19, 3), (20, 5), (39, 5), (40, 7), (60, 7)]),
    ],
)
def test_every_band_of_smoking(rule: str, bands: list[tuple[float, int]]) -> None:
    for cigarettes, minus in bands:
        person = adult("male", "")._replace(cigarettes_per_day=cigarettes)
        assert anaemia((130 + minus) / 10, person, rule=rule).label == 0
        assert anaemia((130 + minus) / 10 - 0.01, person, rule=rule).label == 1


def test_altitude_and_smoking_add_up() -> None:
    person = adult()._replace(altitude_m=2600, cigarettes_per_day=20)
    assert anaemia(12.0 + 1.8 + 0.6, person, rule="who2024") == (0, "none", 0.0, "")
    assert anaemia(14.3, person, rule="who2024") == (1, "mild", -0.1, "")


def test_floats_do_not_move_who_just_reaches_the_cut_off() -> None:
    moved_by_floats = 0
    for altitude, by_altitude in ((0, 0.0), (500, 0.4), (1000, 0.8), (1500, 1.1), (2500, 1.8), (4500, 3.3)):
        for cigarettes, by_smoking in ((0, 0.0), (5, 0.3), (10, 0.5), (20, 0.6)):
            for pregnancy, cutoff in (("no", 12.0), ("1", 11.0), ("2", 10.5)):
                measured = float(f"{cutoff + by_altitude + by_smoking:.1f}")
                person = Person(400, "female", pregnancy, altitude, cigarettes)
                assert anaemia(measured, person, rule="who2024") == (0, "none", 0.0, "")
                moved_by_floats += measured - by_altitude - by_smoking < cutoff
    assert moved_by_floats > 0
    assert anaemia(10.7 + 0.1 + 0.2, Person(), rule="fixed:11").label == 0


@pytest.mark.parametrize("rule", ["who2024", "who2011", "fixed:11", "fixed:10.45"])
@given(data=st.data())
def test_more_haemoglobin_never_makes_anaemic_or_worse(rule: str, data: st.DataObject) -> None:
    person = Person(
        data.draw(st.floats(6, 791)),
        sex := data.draw(st.sampled_from(["female", "male"])),
        data.draw(st.sampled_from(["no", "1", "2", "3"])) if sex == "female" else "no",
        data.draw(st.floats(-500, 4999)),
        data.draw(st.floats(0, 100)),
    )
    if is_impossible_pregnancy(person):
        person = person._replace(pregnancy="no")
    less, more = sorted(data.draw(st.lists(st.floats(2, 25), min_size=2, max_size=2)))
    worse, better = anaemia(less, person, rule=rule), anaemia(more, person, rule=rule)
    assert worse.label >= better.label != UNKNOWN_LABEL
    assert worse.margin_g_dl <= better.margin_g_dl
    assert (better.margin_g_dl < 0) == (better.label == 1)
    if not rule.startswith("fixed"):
        assert SEVERITIES.index(worse.severity) >= SEVERITIES.index(better.severity)


def test_a_fixed_cut_off_looks_at_nothing_but_haemoglobin_and_has_no_grades() -> None:
    person = Person(2, "x", "yes", 5500, 40)
    assert anaemia(10.99, person, rule="fixed:11.0") == (1, "", -0.01, "")
    assert anaemia(11.0, person, rule="fixed:11") == (0, "none", 0.0, "")


@pytest.mark.parametrize(
    ("person", "missing"),
    [
        (child(30), None),
        (Person(30, altitude_m=0), None),
        (Person(130, "male", altitude_m=0, cigarettes_per_day=0), None),
        (Person(130, "", "", 0, 0), "pregnancy"),
        (Person(170, "", "no", 0, 0), None),
        (Person(180, "", "no", 0, 0), "sex"),
        (Person(400, "", "2", 0, 0), None),
        (Person(400, "", "yes", 0, 0), "trimester"),
        (Person(pregnancy="2", altitude_m=0, cigarettes_per_day=0), None),
        (Person(pregnancy="yes", altitude_m=0, cigarettes_per_day=0), "trimester"),
        (Person(pregnancy="2", altitude_m=0), "cigarettes_per_day"),
        (Person(pregnancy="no", altitude_m=0, cigarettes_per_day=0), "age_months"),
    ],
)
def test_only_what_matters_is_asked_for(person: Person, missing: str | None) -> None:
    assert missing_input(person, "who2024") == missing
    assert missing_input(person, "who2011") == (missing if missing != "trimester" else None)
    assert missing_input(person, "fixed:11") is None


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ("fixed:110", "labels.rule is 'fixed:110'; its cut-off must be from 2 to 25 g/dL. Did you mean fixed:11?"),
        ("fixed:-1", "labels.rule is 'fixed:-1'; its cut-off must be from 2 to 25 g/dL."),
        ("fixed:nan", "labels.rule is 'fixed:nan'; its cut-off must be from 2 to 25 g/dL."),
        ("fixed:", "labels.rule is 'fixed:'; it must be own, who2024, who2011 or fixed:<g/dL>, such as fixed:11."),
        ("11", "labels.rule is '11'; it must be own, who2024, who2011 or fixed:<g/dL>, such as fixed:11."),
        ("who", "labels.rule is 'who'; it must be own, who2024, who2011 or fixed:<g/dL>, such as fixed:11."),
    ],
)
def test_what_is_no_rule_is_refused(rule: str, sentence: str) -> None:
    for look in (fixed_cutoff, lambda each: anaemia(11, adult(), rule=each)):
        with pytest.raises(ConfigError) as caught:
            look(rule)
        assert str(caught.value) == sentence
