"""Estimates of memory and time next to published measurements."""
