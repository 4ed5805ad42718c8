"""What `evaluate` and `predict` do, step by step: finished models and the photos that are put to them."""
