"""What `crossval` does, step by step: the runs of the folds, and the scores of all photos together."""
