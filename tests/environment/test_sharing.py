"""Bundles that share what they need: none changes what another gets, by mistake or by a write."""

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from wheels import write_wheel

from runner import Runner, RunnerError
from runner.diagnosis.report.codes import Code
from runner.environment.file_states import files_changed
from runner.environment.integrity import site_packages
from runner.environment.inventory import entries, prunable, remove
from runner.environment.uses import begin_use, uses
from runner.events import Event, Note

WIRE = """\
def wire(entrypoint, params, seed):
    values = {}
    exec(params["code"], values)
    return {"said": str(values["said"]).encode()}
"""
VERSION = "import foo; said = foo.VERSION"


class Runs:
    """Runs with a cache and an index of their own, each by a runner that keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache = folder / "cache"
        self.events: list[Event] = []
        self.publish("1.0")

    def publish(self, version: str) -> None:
        files = {
            "foo.py": f"VERSION = {version!r}\n",
            f"foo-{version}.data/data/share/foo/table.txt": "42",
            f"foo-{version}.data/data/lib/foo/part.txt": "43",
        }
        write_wheel(self.folder / "index", "foo", version, files)

    def bundle(self, name: str, requirements: str) -> Path:
        bundle = self.folder / name
        bundle.mkdir(parents=True)
        (bundle / "requirements.txt").write_text(requirements + "\n")
        (bundle / "wire.py").write_text(WIRE)
        return bundle

    def __call__(self, bundle: Path, code: str = VERSION) -> str:
        self.events.clear()
        with Runner(cache=self.cache, on_event=self.events.append) as runner:
            return runner.execute(bundle, params={"code": code})["said"].decode()

    @property
    def notes(self) -> str:
        return "\n".join(event.text for event in self.events if isinstance(event, Note))

    @property
    def shared(self) -> list[Path]:
        """The environments themselves, without the links that stand for one."""
        folders = (self.cache / "environments").iterdir()
        return [path for path in folders if path.is_dir() and not path.is_symlink()]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    # uv links files from its cache: what is changed here must not be the developer's own.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "index"))
    return Runs(tmp_path)


def test_a_damaged_environment_is_built_again_for_each_as_it_asks_for_it(runs: Runs) -> None:
    pinned, newest = runs.bundle("pinned", "foo==1.0"), runs.bundle("newest", "foo>=1")
    assert (runs(pinned), runs(newest)) == ("1.0", "1.0")
    (shared,) = runs.shared
    runs.publish("2.0")
    (site_packages(shared) / "foo.py").unlink()
    # Whoever comes first: it must not get the other's.
    assert runs(newest) == "2.0"
    assert runs(pinned) == "1.0"


def test_a_layer_whose_environment_is_gone_is_built_anew(runs: Runs) -> None:
    pinned, newest = runs.bundle("pinned", "foo==1.0"), runs.bundle("newest", "foo>=1")
    assert (runs(pinned), runs(newest)) == ("1.0", "1.0")
    for entry in entries(runs.cache):
        if entry.kind == "environment":
            assert remove(entry)
    assert runs(newest) == "1.0"
    assert "it stands upon" in runs.notes
    assert runs(newest) == "1.0" and runs.notes == ""


def test_a_link_that_leads_nowhere_is_pruned(runs: Runs) -> None:
    pinned, newest = runs.bundle("pinned", "foo==1.0"), runs.bundle("newest", "foo>=1")
    runs(pinned), runs(newest)
    for entry in entries(runs.cache):
        assert remove(entry)
    (link,) = entries(runs.cache)
    assert link.kind == "unfinished"
    assert prunable([link]) == [link] and remove(link)
    assert entries(runs.cache) == []


def test_links_to_links_are_followed(runs: Runs) -> None:
    one, two, three = (runs.bundle(f"b{n}", f"foo{n}1.0") for n in ("==", ">=", "<="))
    assert runs(one) == runs(two) == "1.0"  # two's is a link to one's
    for entry in entries(runs.cache):
        assert remove(entry)
    assert runs(three) == runs(one) == runs(two) == "1.0"  # one's is a link to three's
    assert len(runs.shared) == 1
    runs(two)
    assert runs.notes == ""


def test_what_a_bundle_writes_to_a_shared_file_reaches_no_other(runs: Runs) -> None:
    writer, reader = runs.bundle("writer", "foo"), runs.bundle("reader", "foo ")
    assert (runs(writer), runs(reader)) == ("1.0", "1.0")
    # In place, which the read-only folder does not keep anybody from.
    runs(writer, "import foo; said = open(foo.__file__, 'w').write('VERSION = 666')")
    assert "is damaged: foo.py changed" in runs.notes
    assert runs(reader) == "1.0"
    # Nor does it through uv's own cache, whose file that is.
    other = Runs(runs.folder / "other")
    assert other(other.bundle("other", "foo")) == "1.0"


# Each leaves the file's time as it was.
WRITES = {
    "another size": "VERSION = 'not what was installed'",
    "the same size": "VERSION = '6.6'\n",
}
QUIETLY = """
import os, foo
before = os.stat(foo.__file__)
with open(foo.__file__, "r+") as file:
    file.truncate()
    file.write({text!r})
os.utime(foo.__file__, ns=(before.st_atime_ns, before.st_mtime_ns))
said = "written"
"""


@pytest.mark.parametrize("text", WRITES.values(), ids=WRITES)
def test_a_write_whose_time_is_put_back_reaches_no_other(runs: Runs, text: str) -> None:
    writer, reader = runs.bundle("writer", "foo"), runs.bundle("reader", "foo ")
    assert (runs(writer), runs(reader)) == ("1.0", "1.0")
    assert runs(writer, QUIETLY.format(text=text)) == "written"
    assert "is damaged: foo.py changed" in runs.notes
    assert runs(reader) == "1.0"
    other = Runs(runs.folder / "other")
    assert other(other.bundle("other", "foo")) == "1.0"


@pytest.mark.parametrize("text", WRITES.values(), ids=WRITES)
def test_what_a_killed_worker_has_written_reaches_no_other(runs: Runs, text: str) -> None:
    writer, reader = runs.bundle("writer", "foo"), runs.bundle("reader", "foo ")
    assert (runs(writer), runs(reader)) == ("1.0", "1.0")
    die = "\nimport os, signal; os.kill({}, signal.SIGKILL)"
    killed = f"""
import os
from runner import Runner
with Runner(cache={str(runs.cache)!r}, isolation="warm") as runner:
    code = {QUIETLY.format(text=text)!r} + {die!r}.format(os.getpid())
    runner.execute({str(writer)!r}, params={{"code": code}})
"""
    done = subprocess.run([sys.executable, "-c", killed], timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL
    (shared,) = runs.shared
    assert (site_packages(shared) / "foo.py").read_text() == text
    # Before it runs, and not after it.
    assert runs(reader) == "1.0"
    assert "is damaged: foo.py changed" in runs.notes
    assert (runs(reader), runs.notes) == ("1.0", "")
    other = Runs(runs.folder / "other")
    assert other(other.bundle("other", "foo")) == "1.0"


def test_what_one_at_work_has_written_reaches_none_who_comes_later(runs: Runs) -> None:
    writer, reader = runs.bundle("writer", "foo"), runs.bundle("reader", "foo ")
    assert (runs(writer), runs(reader)) == ("1.0", "1.0")
    with Runner(cache=runs.cache) as runner:
        code = QUIETLY.format(text=WRITES["the same size"])
        assert runner.execute(writer, params={"code": code})["said"] == b"written"
        # In the same runner as in another.
        assert runner.execute(reader, params={"code": VERSION})["said"] == b"1.0"
        assert runs(reader) == "1.0"
    assert (runs(reader), runs.notes) == ("1.0", "")


def test_what_a_task_has_written_reaches_no_later_child_of_the_same_runner(runs: Runs) -> None:
    bundle = runs.bundle("bundle", "foo")
    with Runner(cache=runs.cache, isolation="fresh", on_event=runs.events.append) as runner:
        for code, said in (
            (VERSION, b"1.0"),
            (QUIETLY.format(text=WRITES["the same size"]), b"written"),
            (VERSION, b"1.0"),
        ):
            assert runner.execute(bundle, params={"code": code})["said"] == said
    assert "is damaged: foo.py changed" in runs.notes


def test_a_killed_worker_that_has_written_nothing_costs_one_look(runs: Runs) -> None:
    bundle = runs.bundle("bundle", "foo")
    assert runs(bundle) == "1.0"
    (shared,) = runs.shared
    assert uses(runs.cache) == []
    with ExitStack() as holds:
        assert begin_use(runs.cache, shared, holds) is not None
        assert runs(bundle) == "1.0" and len(uses(runs.cache)) == 1  # it is at work
    assert len(uses(runs.cache)) == 1  # it was killed
    assert runs(bundle) == "1.0" and uses(runs.cache) == []
    assert runs.notes == ""


def test_a_write_reaches_none_that_was_linked_from_the_same_files(runs: Runs) -> None:
    write_wheel(runs.folder / "index", "bar", "1.0", {"bar.py": ""})
    writer, before = runs.bundle("writer", "foo"), runs.bundle("before", "foo\nbar")
    assert (runs(writer), runs(before)) == ("1.0", "1.0")
    write_wheel(runs.folder / "index", "baz", "1.0", {"baz.py": ""})
    meanwhile = runs.bundle("meanwhile", "foo\nbaz")
    with Runner(cache=runs.cache, isolation="warm") as runner:
        code = QUIETLY.format(text=WRITES["the same size"])
        assert runner.execute(writer, params={"code": code})["said"] == b"written"
        # Built while uv's cache holds what was written.
        assert runs(meanwhile) == "1.0"
    assert runs(before) == "1.0"
    assert runs(meanwhile) == "1.0"


def test_the_mark_of_a_venv_that_is_gone_tells_to_look_at_the_others(runs: Runs) -> None:
    bundle = runs.bundle("bundle", "foo")
    assert runs(bundle) == "1.0"
    (shared,) = runs.shared
    with ExitStack() as holds:
        begin_use(runs.cache, runs.cache / "fresh" / "gone" / "environments" / "key", holds)
        text = (site_packages(shared) / "foo.py").read_text().replace("1.0", "6.6")
        (site_packages(shared) / "foo.py").write_text(text)
    assert runs(bundle) == "1.0"
    assert "is damaged: foo.py changed" in runs.notes and uses(runs.cache) == []


def test_a_venv_that_was_linked_from_a_damaged_cache_is_discarded_with_it(runs: Runs) -> None:
    bundle, other = runs.bundle("bundle", "foo"), runs.bundle("other", "foo\nbar")
    write_wheel(runs.folder / "index", "bar", "1.0", {"bar.py": ""})
    assert runs(bundle) == "1.0"
    (shared,) = runs.shared
    (site_packages(shared) / "foo.py").write_text("VERSION = '6.6'\n")
    # Nobody that marks what it uses has written this, so that nobody looks.
    assert runs(other) == "6.6"
    assert runs(bundle, "said = 0") == "0"
    assert "is damaged: foo.py changed" in runs.notes
    assert (runs(other), runs(bundle)) == ("1.0", "1.0")


def test_links_that_uv_makes_for_others_are_no_damage(runs: Runs) -> None:
    bundle = runs.bundle("bundle", "foo")
    assert runs(bundle) == "1.0"
    (shared,) = runs.shared
    assert not files_changed(shared)
    os.link(site_packages(shared) / "foo.py", runs.folder / "a link")
    assert files_changed(shared)
    assert (runs(bundle), runs.notes) == ("1.0", "")
    # It was read, and its state is known.
    assert not files_changed(shared) and runs.shared == [shared]


@pytest.mark.parametrize(
    ("name", "how"), [("_virtualenv.pth", "added"), ("foo-1.0.dist-info/RECORD", "changed")]
)
def test_what_no_package_says_the_content_of_is_compared_too(
    runs: Runs, name: str, how: str
) -> None:
    bundle = runs.bundle("bundle", "foo")
    assert runs(bundle) == "1.0"
    (shared,) = runs.shared
    with (site_packages(shared) / name).open("a") as file:
        file.write("\n")
    with ExitStack() as holds:
        begin_use(runs.cache, shared, holds)
    assert runs(bundle) == "1.0"
    assert f"is damaged: {name} {how}" in runs.notes
    assert (runs(bundle), runs.notes) == ("1.0", "")


def test_a_damaged_environment_is_not_pruned_while_it_is_used(runs: Runs) -> None:
    user, other = runs.bundle("user", "foo"), runs.bundle("other", "foo ")
    with Runner(cache=runs.cache, isolation="warm") as runner:
        assert runner.execute(user, params={"code": "said = 0"})["said"] == b"0"
        (shared,) = runs.shared
        (site_packages(shared) / "foo.py").write_text("VERSION = 'damaged'")
        with pytest.raises(RunnerError):
            runs(other, "import foo_that_is_not_there")
        assert "is built again: foo.py changed" in runs.notes
        assert prunable(entries(runs.cache)) == []
        assert runs(other) == "1.0"
        # Its child finds what was built anew in the same place.
        assert runner.execute(user, params={"code": VERSION})["said"] == b"1.0"
    assert prunable(entries(runs.cache)) == []


def test_data_files_of_packages_are_found_below_the_prefix(runs: Runs) -> None:
    bundle = runs.bundle("bundle", "foo")
    read = "import sys; said = open(sys.prefix + '/{}').read()"
    assert runs(bundle, read.format("share/foo/table.txt")) == "42"
    assert runs(bundle, read.format("lib/foo/part.txt")) == "43"
    # What a bundle puts beside them is its own.
    code = "import sys; said = open(sys.prefix + '/share/foo/own.txt', 'w').write('x')"
    runs(bundle, code)
    (shared,) = runs.shared
    assert [path.name for path in (shared / "share" / "foo").iterdir()] == ["table.txt"]


def test_compiled_modules_that_were_cut_short_are_compiled_anew(runs: Runs) -> None:
    bundle = runs.bundle("bundle", "foo")
    runs(bundle)
    (shared,) = runs.shared
    (compiled,) = shared.glob("lib/*/site-packages/__pycache__/foo.*.pyc")
    compiled.write_bytes(compiled.read_bytes()[:-10])
    with pytest.raises(RunnerError):
        runs(bundle)
    assert "is damaged; it compiles it anew" in runs.notes
    assert runs(bundle) == "1.0"


def test_a_package_that_writes_beside_itself_has_nothing_built_again(runs: Runs) -> None:
    code = "import pathlib; pathlib.Path(__file__).with_name('cache.json').write_text('x')"
    write_wheel(runs.folder / "index", "selfish", "1.0", {"selfish/__init__.py": code})
    bundle = runs.bundle("bundle", "selfish")
    if os.geteuid() != 0:
        pytest.skip("only root writes into a folder that is read-only")
    for _ in range(3):
        runs(bundle, "import selfish; said = 1")
        assert "built again" not in runs.notes and "damaged" not in runs.notes


def test_a_package_that_is_wrong_about_its_files_is_built_again_once(runs: Runs) -> None:
    write_wheel(runs.folder / "index", "liar", "1.0", {"liar.py": "X = 1\n"}, {"liar.py": 9})
    bundle = runs.bundle("bundle", "liar")
    for expected in (True, False, False):
        assert runs(bundle, "import liar; said = liar.X") == "1"
        with pytest.raises(RunnerError) as raised:
            runs(bundle, "import foo")
        assert raised.value.report.code is Code.MODULE_NOT_FOUND
        assert ("is damaged: liar.py changed" in runs.notes) is expected
