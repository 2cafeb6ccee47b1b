"""Finds out early whether this process's limits leave it what it is about to need."""

import errno
import os
import resource

OF_CHILD = 24
"""How many of its worker's descriptors a child takes, at its start, when most are open."""
OF_COMMAND = 40
"""How many a command needs: a child's, an event loop's, uv's, those of files that it reads."""


def check_limits(descriptors: int) -> None:
    """See that so many files can be open, and that one may be written.

    Else what fails for want of that may say something else: that there is no temporary folder.

    :raises OSError: they cannot (EMFILE, ENFILE), or it may not (EFBIG).
    """
    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] == 0:
        raise OSError(errno.EFBIG, "no file may have any content")
    opened = list[int]()
    try:
        for _ in range(descriptors):
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        some = f"{len(opened)} of the {descriptors} files and pipes that it takes can be open"
        raise OSError(error.errno, f"{some} ({error.strerror})") from error
    finally:
        for descriptor in opened:
            os.close(descriptor)
