"""The table of the seed, reproduced: each of its claims tested by training without what it is about.

`python -m anemia_lightning.benchmarks.claims data=cp_anemic data.root=FOLDER model.weights=FILE` cross-validates every
arm with several seeds on the same grouped folds, all from one store of frozen features, and writes claims.md,
claims.json and claims.png anew after each. It goes on where it was stopped; `--tell` trains nothing more and tells what
there is.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from anemia_lightning.benchmarks.claim_report import claim_report, draw_claims
from anemia_lightning.benchmarks.claim_runs import ARMS, ClaimRuns, count_parameters
from anemia_lightning.benchmarks.claim_words import claim_lines, claim_markdown, weights_words
from anemia_lightning.benchmarks.seed_claims import FULL
from anemia_lightning.benchmarks.verdicts import judge_reuse
from anemia_lightning.command_line.terminal import say
from anemia_lightning.errors import AnemiaError
from anemia_lightning.files.run_folder import write_json, write_text
from anemia_lightning.plots.style import to_png


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains what is missing, seed by seed, and tells after each cross-validation what is known by then."""
    options = _read_options(arguments)
    try:
        runs = ClaimRuns(options.folder, options.overrides, folds=options.folds)
        runs.keep_settings()
        for seed in [] if options.tell else range(options.seeds):
            for arm in options.arms:
                if not runs.is_finished(arm, seed):
                    say("", f"{ARMS[arm].words}, seed {seed}")
                    runs.finish(arm, seed)
                    _tell(runs, options)
        say(*claim_lines(_tell(runs, options)), f"Written: {runs.folder}/claims.md, claims.json and claims.png.")
    except AnemiaError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _tell(runs: ClaimRuns, options: argparse.Namespace) -> dict[str, Any]:
    seeds = range(options.seeds)
    table = runs.table(options.arms, seeds)
    cfg = runs.settings
    report = {
        "data": cfg.data.name,
        "caution": cfg.data.caution,
        "backbone": cfg.model.backbone,
        "image_size": cfg.data.image_size,
        "max_epochs": cfg.trainer.max_epochs,
        "weights": weights_words(next(iter(runs.cards(FULL, seeds)), {}).get("weights")),
        "wanted": {"folds": options.folds, "seeds": options.seeds},
        **claim_report(table, options.arms, wanted=options.folds * options.seeds, max_epochs=cfg.trainer.max_epochs),
        "reuse": judge_reuse(count_parameters(cfg.model.backbone, cfg.model.hidden)),
    }
    write_json(runs.folder / "claims.json", report)
    write_text(runs.folder / "claims.md", claim_markdown(report))
    if len(table):
        (runs.folder / "claims.png").write_bytes(to_png(draw_claims(table, options.arms)))
    return report


def _read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="settings of crossval, such as data=… model.weights=…")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=Path("logs/benchmarks/claims"))
    parser.add_argument("--tell", action="store_true", help="train nothing more; tell what there is")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
