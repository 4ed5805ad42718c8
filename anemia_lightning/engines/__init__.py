"""What computes the logits of a finished model: one interface, several ways."""

from anemia_lightning.engines.choice import ENGINES, Build, build_engine, check_engine
from anemia_lightning.engines.engine import Engine

__all__ = ["ENGINES", "Build", "Engine", "build_engine", "check_engine"]
