"""From the words of a command line to a command: its parser, its options, its values."""
