"""What `train` does, step by step: from a start through the fit to a finished run folder."""
