"""Files that come whole or not at all, and those of a run by name."""
