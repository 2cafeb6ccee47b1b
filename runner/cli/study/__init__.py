"""``exec`` with many tasks: their list, their run, and their lines in ``results.jsonl``."""
