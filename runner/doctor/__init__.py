"""Examines this machine before anything is run on it."""
