"""Choosing the interpreter that a bundle's environment is made from."""
