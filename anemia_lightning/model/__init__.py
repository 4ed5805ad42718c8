"""The network in named stages, the weights it starts from, its learning-rate schedules and its training."""
