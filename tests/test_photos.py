"""What a command says of its photos before anything is made of them."""

import pandas as pd
from omegaconf import OmegaConf

from anemia_lightning.data.preparation import Prepared
from anemia_lightning.photos import photo_lines


def test_photos_that_got_the_label_of_their_copies_are_counted() -> None:
    photos = pd.DataFrame({"photo": ["a", "b", "c"], "patient": ["a", "b", "c"], "photo_group": ["a", "a", "a"]})
    cutoffs = [{"g_dl": 10.5, "photos": 1}, {"g_dl": 11.0, "photos": 2}]
    labels = {"rule": "who2024", "flips": {}, "relabelled": ["b", "c"], "cutoffs": cutoffs}
    prepared = Prepared(photos, photos.iloc[:0], facts=photos, near=photos.iloc[:0], labels=labels)
    cfg = OmegaConf.create({"data": {"name": "folder", "photo_groups": "bytes"}})
    assert photo_lines(cfg, prepared) == [
        "3 photos (patients not named) from folder",
        "They show 1 different photographs.",
        "2 photos got the commoner label of their copies (data.on_label_conflict=majority).",
        "Cut-offs, after altitude and smoking: 10.5 g/dL for 1, 11 g/dL for 2 photos.",
    ]
