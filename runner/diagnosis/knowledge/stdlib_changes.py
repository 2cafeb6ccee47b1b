"""The standard library's losses and gains, Python 3.8 to 3.14 ("What's New" documents)."""

from msgspec import Struct


class Change(Struct, frozen=True):
    """A module or name that a Python has not."""

    version: str
    """The first Python without it, where it was removed; the first with it, where it was added."""
    instead: str | None = None
    """The module to import instead."""
    package: str | None = None
    """A package on the index that brings it, or what stands in for it."""


def _standard(version: str, instead: str | None, *modules: str) -> dict[str, Change]:
    # github.com/youknowone/python-deadlib publishes the modules of PEP 594 as they were.
    return {name: Change(version, instead, f"standard-{name}") for name in modules}


# Of Python 2: what Python 3 has in their place, as far as it has the same names.
_PYTHON_2_MODULES = (
    "ConfigParser=configparser Cookie=http.cookies HTMLParser=html.parser Queue=queue"
    " SimpleHTTPServer=http.server SocketServer=socketserver StringIO=io Tkinter=tkinter"
    " UserDict=collections __builtin__=builtins cPickle=pickle cStringIO=io commands=subprocess"
    " cookielib=http.cookiejar copy_reg=copyreg dummy_thread=_thread htmlentitydefs=html.entities"
    " httplib=http.client md5=hashlib robotparser=urllib.robotparser sha=hashlib thread=_thread"
    " tkFileDialog=tkinter.filedialog tkMessageBox=tkinter.messagebox urllib2=urllib.request"
    " urlparse=urllib.parse xmlrpclib=xmlrpc.client"
)

REMOVED_MODULES: dict[str, Change] = {
    **{
        old: Change("3.0", new)
        for old, _, new in (pair.partition("=") for pair in _PYTHON_2_MODULES.split())
    },
    "macpath": Change("3.8", "os.path"),
    "_dummy_thread": Change("3.9", "_thread"),
    "dummy_threading": Change("3.9", "threading"),
    "_bootlocale": Change("3.10", "locale"),
    "formatter": Change("3.10"),
    "parser": Change("3.10", "ast"),
    "symbol": Change("3.10", "ast"),
    "binhex": Change("3.11"),
    # PEP 632: setuptools brings its own copy.
    "distutils": Change("3.12", package="setuptools"),
    "imp": Change("3.12", "importlib"),
    "asynchat": Change("3.12", "asyncio", "pyasynchat"),
    "asyncore": Change("3.12", "asyncio", "pyasyncore"),
    "smtpd": Change("3.12", package="aiosmtpd"),
    "lib2to3": Change("3.13", package="fissix"),
    "audioop": Change("3.13", package="audioop-lts"),
    "crypt": Change("3.13", package="legacycrypt"),
    "msilib": Change("3.13", package="python-msilib"),
    "cgi": Change("3.13", package="legacy-cgi"),
    "cgitb": Change("3.13", package="legacy-cgi"),
    "ossaudiodev": Change("3.13"),
    "nis": Change("3.13"),
    "spwd": Change("3.13"),
    **_standard("3.13", "subprocess", "pipes"),
    **_standard("3.13", "mimetypes", "mailcap"),
    **_standard("3.13", "base64", "uu"),
    **_standard(
        "3.13",
        None,
        *("aifc", "chunk", "imghdr", "nntplib", "sndhdr", "sunau", "telnetlib", "xdrlib"),
    ),
    "tkinter.tix": Change("3.13", "tkinter.ttk"),
    "typing.io": Change("3.13", "typing"),
    "typing.re": Change("3.13", "typing"),
    "xml.etree.cElementTree": Change("3.9", "xml.etree.ElementTree"),
}

ADDED_MODULES: dict[str, Change] = {
    "zoneinfo": Change("3.9", "backports.zoneinfo", "backports.zoneinfo"),
    "graphlib": Change("3.9", package="graphlib-backport"),
    "tomllib": Change("3.11", "tomli", "tomli"),
    "annotationlib": Change("3.14", package="typing-extensions"),
    "compression": Change("3.14", package="backports.zstd"),
}

# Of collections.abc.
ABSTRACT_CLASSES = (
    "Awaitable AsyncIterable AsyncIterator ByteString Callable Container Coroutine Generator"
    " Hashable ItemsView Iterable Iterator KeysView Mapping MappingView MutableMapping"
    " MutableSequence MutableSet Reversible Sequence Set Sized ValuesView"
)

REMOVED_NAMES: dict[tuple[str, str], Change] = {
    **{
        ("collections", name): Change("3.10", f"collections.abc.{name}")
        for name in ABSTRACT_CLASSES.split()
    },
    ("asyncio", "coroutine"): Change("3.11", "async def"),
    ("os", "getcwdu"): Change("3.0", "os.getcwd"),
    ("string", "letters"): Change("3.0", "string.ascii_letters"),
    ("string", "lowercase"): Change("3.0", "string.ascii_lowercase"),
    ("string", "uppercase"): Change("3.0", "string.ascii_uppercase"),
    ("sys", "maxint"): Change("3.0", "sys.maxsize"),
    ("urllib", "quote"): Change("3.0", "urllib.parse.quote"),
    ("urllib", "urlencode"): Change("3.0", "urllib.parse.urlencode"),
    ("urllib", "urlopen"): Change("3.0", "urllib.request.urlopen"),
    ("urllib", "urlretrieve"): Change("3.0", "urllib.request.urlretrieve"),
    ("base64", "decodestring"): Change("3.9", "base64.decodebytes"),
    ("base64", "encodestring"): Change("3.9", "base64.encodebytes"),
    ("cgi", "escape"): Change("3.8", "html.escape"),
    ("cgi", "parse_qs"): Change("3.8", "urllib.parse.parse_qs"),
    ("configparser", "SafeConfigParser"): Change("3.12", "configparser.ConfigParser"),
    ("fractions", "gcd"): Change("3.9", "math.gcd"),
    ("importlib", "find_loader"): Change("3.12", "importlib.util.find_spec"),
    ("importlib.abc", "ResourceReader"): Change("3.14", "importlib.resources.abc.ResourceReader"),
    ("importlib.abc", "Traversable"): Change("3.14", "importlib.resources.abc.Traversable"),
    ("inspect", "formatargspec"): Change("3.11", "inspect.signature"),
    ("inspect", "getargspec"): Change("3.11", "inspect.getfullargspec"),
    ("locale", "format"): Change("3.12", "locale.format_string"),
    ("pkgutil", "ImpImporter"): Change("3.12", "importlib.machinery.FileFinder"),
    ("pkgutil", "find_loader"): Change("3.14", "importlib.util.find_spec"),
    ("pkgutil", "get_loader"): Change("3.14", "importlib.util.find_spec"),
    ("platform", "dist"): Change("3.8", "distro.id", "distro"),
    ("platform", "linux_distribution"): Change("3.8", "distro.linux_distribution", "distro"),
    ("plistlib", "readPlist"): Change("3.9", "plistlib.load"),
    ("plistlib", "writePlist"): Change("3.9", "plistlib.dump"),
    ("ssl", "match_hostname"): Change("3.12", "ssl.SSLContext.check_hostname"),
    ("ssl", "wrap_socket"): Change("3.12", "ssl.SSLContext.wrap_socket"),
    ("time", "clock"): Change("3.8", "time.perf_counter"),
    ("unittest", "findTestCases"): Change("3.13", "unittest.TestLoader"),
    ("unittest", "makeSuite"): Change("3.13", "unittest.TestLoader"),
    ("xml.etree", "cElementTree"): Change("3.9", "xml.etree.ElementTree"),
    **{
        ("ast", name): Change("3.14", "ast.Constant")
        for name in ("Bytes", "Ellipsis", "NameConstant", "Num", "Str")
    },
}


def _typing(version: str, names: str) -> dict[tuple[str, str], Change]:
    return {
        ("typing", name): Change(version, f"typing_extensions.{name}", "typing-extensions")
        for name in names.split()
    }


ADDED_NAMES: dict[tuple[str, str], Change] = {
    **_typing("3.9", "Annotated"),
    **_typing("3.10", "Concatenate ParamSpec TypeAlias TypeGuard is_typeddict"),
    **_typing(
        "3.11",
        "LiteralString Never NotRequired Required Self TypeVarTuple Unpack assert_never"
        " assert_type dataclass_transform reveal_type",
    ),
    **_typing("3.12", "TypeAliasType override"),
    **_typing("3.13", "NoDefault ReadOnly TypeIs"),
    ("asyncio", "TaskGroup"): Change("3.11", "anyio.create_task_group", "anyio"),
    ("asyncio", "timeout"): Change("3.11", "async_timeout.timeout", "async-timeout"),
    ("asyncio", "to_thread"): Change("3.9", "loop.run_in_executor"),
    ("contextlib", "chdir"): Change("3.11"),
    ("datetime", "UTC"): Change("3.11", "datetime.timezone.utc"),
    ("enum", "StrEnum"): Change("3.11", "backports.strenum.StrEnum", "backports.strenum"),
    ("functools", "cache"): Change("3.9", "functools.lru_cache(maxsize=None)"),
    ("importlib.resources", "files"): Change(
        "3.9", "importlib_resources.files", "importlib-resources"
    ),
    ("itertools", "batched"): Change("3.12", "more_itertools.batched", "more-itertools"),
    ("itertools", "pairwise"): Change("3.10", "more_itertools.pairwise", "more-itertools"),
    ("math", "cbrt"): Change("3.11"),
    ("types", "NoneType"): Change("3.10", "type(None)"),
    ("warnings", "deprecated"): Change("3.13", "typing_extensions.deprecated", "typing-extensions"),
}


def known_part(name: str) -> str:
    """A module, or the package it is in, whichever the tables have."""
    parts = name.split(".")[:4]
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((one for one in names if one in REMOVED_MODULES or one in ADDED_MODULES), name)
