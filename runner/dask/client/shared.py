"""A folder that client and workers see under the same path."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from runner.dask.failures import error_of, unfit
from runner.dask.worker.bundles import remove_outputs
from runner.diagnosis.errors import RunnerError
from runner.diagnosis.report.model import Hint
from runner.stored_files import whole_file

# What a client that was killed has left is marked by the next one that is as much younger, and
# removed by one that is as much younger again: a clock may be set to next year, and back.
ABANDONED_SECONDS = 7 * 24 * 3600.0
_ABANDONED = "abandoned"


class Shared:
    """As the client uses it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.outputs = folder / "outputs" / uuid.uuid4().hex
        """Where large outputs are until this client has mapped them; it goes with the client."""

    def remove_outputs(self) -> None:
        """Remove what nobody has come for, this client's and what killed ones have left."""
        remove_outputs(self.outputs)
        folders = list(self.outputs.parent.glob("*"))
        if not folders:
            return
        with suppress(RunnerError), self.probed() as probe:
            # By the file server's clock, which may not be this machine's.
            old = Path(probe).stat().st_mtime - ABANDONED_SECONDS
            for folder in folders:
                with suppress(OSError):  # another client is at it, or it is another user's
                    if folder.stat().st_mtime >= old:
                        continue
                    if (folder / _ABANDONED).exists():
                        remove_outputs(folder)
                    else:
                        (folder / _ABANDONED).touch()

    def keep(self, data: bytes, digest: str) -> Path:
        """Put a bundle's archive there, once.

        :raises RunnerError: it cannot be written to.
        """
        file = self._folder / "bundles" / f"{digest.removeprefix('sha256:')}.tar.gz"
        try:
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                with whole_file(file, 0o644) as written:
                    written.write(data)
        except OSError as error:
            raise self._not_written(error) from error
        return file

    @contextmanager
    def probed(self) -> Iterator[str]:
        """A file that workers should see there, until leaving.

        :raises RunnerError: it cannot be written.
        """
        probe = self._folder / f".modelops-{uuid.uuid4().hex}"
        try:
            probe.touch()
        except OSError as error:
            raise self._not_written(error) from error
        try:
            yield str(probe)
        finally:
            probe.unlink(missing_ok=True)

    def not_seen(self, workers: list[str]) -> RunnerError:
        return self._unfit(f"is not there, or another one, on {', '.join(workers)}")

    def _not_written(self, error: OSError) -> RunnerError:
        return self._unfit(f"cannot be written to: {error.strerror}")

    def _unfit(self, problem: str) -> RunnerError:
        return error_of(
            unfit(
                f"the shared folder {self._folder} {problem}",
                "Client and workers must see the same folder under the same path.",
                Hint("mount it on every worker, or leave shared= out: data then goes through Dask"),
            )
        )
