"""Measurements of what this project promises, each a module to run."""
