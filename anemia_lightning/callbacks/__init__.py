"""Hooks into training: each asks whether it is time, then delegates."""
