"""The child's side of modelops-runner, and the transport that it shares with the parent.

A parent runs ``hello.py`` by its path with the interpreter of a bundle's environment, and speaks
JSON-RPC 2.0 with it over its stdin and stdout (docs/protocol.md). The package is not installed in
that environment: it runs beside whatever a bundle depends on, on any CPython from 3.8 on and on
PyPy. So it needs the standard library alone, and every import it saves is time that each fresh
child saves.
"""
