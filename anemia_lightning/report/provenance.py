"""What must stand beside every number: that photographs are drawn, or that weights are not what readers assume."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Label(NamedTuple):
    """A loud word, and what it means."""

    word: str
    says: str


class DataSource(NamedTuple):
    """A data set that the program knows: who is on its photographs, and on what terms they may be used."""

    people: str
    licence: str


DATA = {
    "synthetic": DataSource("nobody: the photographs are drawn by this program", "as this program, Apache-2.0"),
    "cp_anemic": DataSource(
        "CP-AnemiC (Asare, Appiahene, Donkoh; doi:10.17632/m53vz6b7fx): children of about 6 to 60 months from ten "
        "hospitals in Ghana, photographed with one model of tablet; patients are not named, and its own label is "
        "haemoglobin below 11.0 g/dL at any age",
        "listed as CC BY 4.0; read its page before you pass anything on",
    ),
    "eyes_defy": DataSource(
        "Eyes-Defy-Anemia (Dimauro et al.; doi:10.21227/t5s2-4j73): 218 adults of Italy and India, photographed with "
        "one model of phone",
        "none stated; treat as research only",
    ),
}
"""By the name of the source, as in `data.name`."""

OWN_DATA = DataSource(
    "not known to the program: needs a human", "not known to the program: whoever passes the model on must state it"
)
IMAGENET_CAUTION = (
    "torchvision's weights were trained on ImageNet, whose terms of access allow non-commercial research and education "
    "only; whether they bind models that were fine-tuned from them is not settled (see NOTICE)."
)
_OTHER_WEIGHTS = "All scores are those of these weights; with other weights they would differ, up or down."


def loud_labels(facts: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Label]:
    """Returns what every number of a run must be labelled with; nothing for real photographs and ImageNet's weights.

    Args:
        facts: What run.json holds.
        settings: All settings of the run.
    """
    labels = []
    if "synthetic" in data_sources(settings):
        labels.append(Label("Drawn photographs", "The scores show that the program works; they say nothing of people."))
    weights, init_from = facts.get("weights", {}), settings.get("init_from")
    file = weights.get("file")
    if weights.get("source") == "evaluated":
        labels.append(Label("A model of another run", weights_says(weights)[0]))
    elif init_from or weights.get("source") == "checkpoint":
        says = f"The network started from the checkpoint {init_from or file} of another run."
        labels.append(Label("Weights of another run", f"{says} {_OTHER_WEIGHTS}"))
    elif weights.get("source") == "random":
        labels.append(Label("Random weights", f"The network did not start from trained weights. {_OTHER_WEIGHTS}"))
    elif weights.get("source") == "file":
        says = f"The network started from the file {file}, not from ImageNet's weights by their name."
        labels.append(Label("Weights of a file", f"{says} {_OTHER_WEIGHTS}"))
    return labels


def weights_says(weights: Mapping[str, Any]) -> list[str]:
    """Returns in sentences where the weights came from, and what follows for their use.

    Args:
        weights: What run.json holds of them: source, name, file, sha256.
    """
    digest = f" SHA-256 of its tensors: {weights['sha256']}." if weights.get("sha256") else ""
    match weights.get("source"):
        case "torchvision":
            return [f"torchvision's {weights['name']}, trained on ImageNet.{digest}", IMAGENET_CAUTION]
        case "random":
            return ["Random: the network did not start from trained weights, which binds it to nobody's terms."]
        case "file":
            return [
                f"The file {weights.get('file')}.{digest} What it was trained on, and on what terms it may be used, is "
                "not known to the program: whoever passes the model on must state it.",
            ]
        case "evaluated":
            return [f"The model is the checkpoint {weights.get('file')}; its own card says what it was made of."]
        case "checkpoint":
            says = f"The checkpoint {weights.get('file')} of another run; its model card says where they came from."
            return [f"{says}{digest}"]
    return ["Not known."]


def data_sources(settings: Mapping[str, Any]) -> dict[str, DataSource]:
    """Returns what is known of the data sets of a run, by name.

    Args:
        settings: All settings of the run.
    """
    data = settings.get("data", {})
    names = data.get("sources") or [data.get("name")]
    return {str(name): DATA.get(str(name), OWN_DATA) for name in names if name}
