"""Writes down, in the folder of outputs, what tasks ran with: bundle, versions, machine."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from runner.bundle.archive import pack
from runner.bundle.content import empty_folders
from runner.bundle.model import Bundle
from runner.stored_files import whole_file
from runner.study import run_file
from runner.study.environment_account import Versions
from runner.study.outputs.places import is_file, remove_anything, set_aside
from runner.study.shards import Shard, part_name

MOST_ARCHIVED_BYTES = 1 << 30
"""A bundle with more content than that is not kept beside the results."""


class StudyRecord:
    """The account of one run in a folder.

    :param say: takes a line on what could not be kept.
    """

    def __init__(
        self,
        folder: Path,
        run: run_file.RunFile,
        bundle: Bundle,
        say: Callable[[str], None],
        shard: Shard | None = None,
    ) -> None:
        self.folder = folder
        self._shard = shard
        self._name = part_name(run_file.RUN, shard)
        self._archive = run_file.archive_name(shard, bundle.digest)
        self._bundle = bundle
        self.say = say
        self._run = run
        self._threads: int | None = None
        self.before = run_file.account_before(folder, shard, bundle.digest)
        """The account of the run before, if there was one."""

    def make_room(self) -> None:
        """Set aside what no run has made; a link is never written through."""
        known = run_file.read_run(self.folder, self._shard) is not None
        for name in run_file.STORY if self._shard is None else (self._name,):
            if not known or not is_file(self.folder / name):
                set_aside(self.folder / name, self.say)
        # A shard's has its content's digest in its name: another shard may have written it.
        if not is_file(self.folder / self._archive):
            set_aside(self.folder / self._archive, self.say)

    def begin(self, environment: run_file.RanIn) -> None:
        """Write what is known before the tasks run."""
        self._run = msgspec.structs.replace(self._run, environment=environment)
        before = self.before
        # What is there is of this bundle, and of these versions.
        if before is not None and before.bundle.digest == self._bundle.digest:
            earlier = before.environment
            same = earlier is not None and earlier.packages == environment.packages
            self._run = msgspec.structs.replace(
                self._run,
                bundle_archive=self._there(before.bundle_archive),
                pylock=self._there(before.pylock) if same else None,
            )
        self.write()

    def _there(self, name: str | None) -> str | None:
        return name if name is not None and (self.folder / name).is_file() else None

    @property
    def lacks_versions(self) -> bool:
        """Tell whether the lock of the versions is still to be kept."""
        return self._run.pylock is None and self._run.environment is not None

    def keep_bundle(self) -> None:
        """Keep the bundle's content, unless the folder has it."""
        if self._run.bundle_archive is not None:
            return
        bundle, name = self._bundle, self._archive
        beside = self.folder / part_name(f".{run_file.BUNDLE}.new", self._shard)
        try:
            files = (bundle.path / name for name in bundle.files)
            size = sum(file.stat().st_size for file in files if file.is_file())
            if size > MOST_ARCHIVED_BYTES:
                self.say(f"the bundle has {size >> 20} MiB: {name} does not keep it")
                (self.folder / name).unlink(missing_ok=True)  # of another bundle
                return
            remove_anything(beside)
            with beside.open("xb") as file:
                pack(bundle, file, empty_folders(bundle.path, bundle.files))
            beside.replace(self.folder / name)
        except OSError as error:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            self.say(f"{name} is not written: {error}")
            return
        self._run = msgspec.structs.replace(self._run, bundle_archive=name)

    def keep_versions(self, versions: Versions) -> None:
        """Keep the lock of the environment's versions."""
        assert self._run.environment is not None
        name = run_file.pylock_name(self._shard, self._run.environment)
        reason = versions.reason
        try:
            if versions.pylock is not None:
                if self._shard is not None and not is_file(self.folder / name):
                    set_aside(self.folder / name, self.say)
                with whole_file(self.folder / name) as file:
                    file.write(versions.pylock)
                self._run = msgspec.structs.replace(self._run, pylock=name)
                return
        except OSError as error:
            reason = str(error)
        self.say(f"{name} is not written: {reason}; {self._name} has the versions")
        if self._shard is None:
            with suppress(OSError):
                (self.folder / run_file.PYLOCK).unlink(missing_ok=True)  # of other versions

    def ran_with(self, threads: int | None) -> None:
        """A task has ended that had so many threads."""
        if self._threads is None:  # apart from the rest, which another thread writes
            self._threads = threads

    def finished(self) -> None:
        """Write that the run has come to its end."""
        self.write(finished_at=run_file.now())

    def write(self, finished_at: str | None = None) -> None:
        """Write what is known by now."""
        self._run = msgspec.structs.replace(
            self._run, finished_at=finished_at, threads=self._threads
        )
        try:
            run_file.write_run(self.folder, self._name, self._run)
        except OSError as error:
            self.say(f"{self._name} is not written: {error}")
