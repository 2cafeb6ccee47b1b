"""Where the bundle's code works: a folder of the task's own, with the bundle's files in it."""

from __future__ import annotations

import os
from collections.abc import Callable

from bundle_protocol.messages import ErrorCode, RequestError, to_json
from bundle_protocol.outside import Outside


class WorkingFolder:
    """The folder that this process works in.

    :param bundle: the bundle's own folder, by whose name reports call what is in this one.
    :param note: takes what is to be said of the results.
    """

    def __init__(self, bundle: str, note: Callable[[str], None]) -> None:
        self.outside = Outside(bundle, note)
        self._bundle = bundle
        self._path = os.getcwd()

    def enter(self, path: str, params: dict[str, object]) -> None:
        """Works there from now on, on a task with these parameters.

        :raises RequestError: ``INTERNAL_ERROR``; the folder is not there.
        """
        try:
            os.chdir(path)
        except OSError as error:
            raise RequestError(
                ErrorCode.INTERNAL_ERROR, f"the task's working folder cannot be entered: {error}"
            ) from error
        self._path = path
        self.outside.begin(path, params)

    def with_own_names(self, text: str) -> str:
        """JSON in which the bundle's files have the names that they have in the bundle."""
        return text.replace(to_json(self._path)[1:-1], to_json(self._bundle)[1:-1])
