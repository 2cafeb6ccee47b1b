"""The isolated environment that a bundle runs in: built by uv, shared, reused."""
