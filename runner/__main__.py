"""``python -m runner``: the command without its script, on the very Python that runs it."""

import sys

from runner.cli import main

if __name__ == "__main__":
    sys.exit(main())
