"""Reads what other tools know a model by, where it is not a bundle yet."""
