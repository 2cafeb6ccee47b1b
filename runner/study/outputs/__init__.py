"""The folder that ``--output`` names, and what a run keeps in it."""
