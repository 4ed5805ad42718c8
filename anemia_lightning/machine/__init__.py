"""Threads, processes and memory that work for a command."""
