"""From a finished model to predictions, a decision, a judgement, and the documents that tell them."""
