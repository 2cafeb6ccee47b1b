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


# `VERSION MODULE: NAME, ...`, or without a module what is one itself. Behind = is what to use
# instead, and behind + the package; where these stand before the colon, they hold for each name,
# which a star stands for. Python 3 has instead of Python 2's modules what has some of their names.
# setuptools brings its own copy of distutils (PEP 632), and github.com/youknowone/python-deadlib
# publishes the modules of PEP 594 as they were, as standard-*.
_REMOVED = """
3.0: ConfigParser=configparser, Cookie=http.cookies, HTMLParser=html.parser, Queue=queue
3.0: SimpleHTTPServer=http.server, SocketServer=socketserver, StringIO=io, Tkinter=tkinter
3.0: UserDict=collections, __builtin__=builtins, cPickle=pickle, cStringIO=io, commands=subprocess
3.0: cookielib=http.cookiejar, copy_reg=copyreg, dummy_thread=_thread, htmlentitydefs=html.entities
3.0: httplib=http.client, md5=hashlib, robotparser=urllib.robotparser, sha=hashlib, thread=_thread
3.0: tkFileDialog=tkinter.filedialog, tkMessageBox=tkinter.messagebox, urllib2=urllib.request
3.0: urlparse=urllib.parse, xmlrpclib=xmlrpc.client
3.8: macpath=os.path
3.9: _dummy_thread=_thread, dummy_threading=threading, xml.etree.cElementTree=xml.etree.ElementTree
3.10: _bootlocale=locale, formatter, parser=ast, symbol=ast
3.11: binhex
3.12: distutils+setuptools, imp=importlib, asynchat=asyncio+pyasynchat, asyncore=asyncio+pyasyncore
3.12: smtpd+aiosmtpd
3.13: lib2to3+fissix, audioop+audioop-lts, crypt+legacycrypt, msilib+python-msilib, cgi+legacy-cgi
3.13: cgitb+legacy-cgi, ossaudiodev, nis, spwd, tkinter.tix=tkinter.ttk, typing.io=typing
3.13: typing.re=typing
3.13 =subprocess+standard-*: pipes
3.13 =mimetypes+standard-*: mailcap
3.13 =base64+standard-*: uu
3.13 +standard-*: aifc, chunk, imghdr, nntplib, sndhdr, sunau, telnetlib, xdrlib
3.14 ast=ast.Constant: Bytes, Ellipsis, NameConstant, Num, Str
3.11 asyncio: coroutine=async def
3.9 base64: decodestring=base64.decodebytes, encodestring=base64.encodebytes
3.8 cgi: escape=html.escape, parse_qs=urllib.parse.parse_qs
3.10 collections=collections.abc.*: Awaitable, AsyncIterable, AsyncIterator, ByteString, Callable
3.10 collections=collections.abc.*: Container, Coroutine, Generator, Hashable, ItemsView, Iterable
3.10 collections=collections.abc.*: Iterator, KeysView, Mapping, MappingView, MutableMapping
3.10 collections=collections.abc.*: MutableSequence, MutableSet, Reversible, Sequence, Set, Sized
3.10 collections=collections.abc.*: ValuesView
3.12 configparser: SafeConfigParser=configparser.ConfigParser
3.9 fractions: gcd=math.gcd
3.12 importlib: find_loader=importlib.util.find_spec
3.14 importlib.abc: ResourceReader=importlib.resources.abc.ResourceReader
3.14 importlib.abc: Traversable=importlib.resources.abc.Traversable
3.11 inspect: formatargspec=inspect.signature, getargspec=inspect.getfullargspec
3.12 locale: format=locale.format_string
3.0 os: getcwdu=os.getcwd
3.12 pkgutil: ImpImporter=importlib.machinery.FileFinder
3.14 pkgutil: find_loader=importlib.util.find_spec, get_loader=importlib.util.find_spec
3.8 platform: dist=distro.id+distro, linux_distribution=distro.linux_distribution+distro
3.9 plistlib: readPlist=plistlib.load, writePlist=plistlib.dump
3.12 ssl: match_hostname=ssl.SSLContext.check_hostname, wrap_socket=ssl.SSLContext.wrap_socket
3.0 string: letters=string.ascii_letters, lowercase=string.ascii_lowercase
3.0 string: uppercase=string.ascii_uppercase
3.0 sys: maxint=sys.maxsize
3.8 time: clock=time.perf_counter
3.13 unittest: findTestCases=unittest.TestLoader, makeSuite=unittest.TestLoader
3.0 urllib: quote=urllib.parse.quote, urlencode=urllib.parse.urlencode
3.0 urllib: urlopen=urllib.request.urlopen, urlretrieve=urllib.request.urlretrieve
3.9 xml.etree: cElementTree=xml.etree.ElementTree
"""
_ADDED = """
3.9: zoneinfo=backports.zoneinfo+backports.zoneinfo, graphlib+graphlib-backport
3.11: tomllib=tomli+tomli
3.14: annotationlib+typing-extensions, compression+backports.zstd
3.9 asyncio: to_thread=loop.run_in_executor
3.11 asyncio: TaskGroup=anyio.create_task_group+anyio, timeout=async_timeout.timeout+async-timeout
3.11 contextlib: chdir
3.11 datetime: UTC=datetime.timezone.utc
3.11 enum: StrEnum=backports.strenum.StrEnum+backports.strenum
3.9 functools: cache=functools.lru_cache(maxsize=None)
3.9 importlib.resources: files=importlib_resources.files+importlib-resources
3.10 itertools: pairwise=more_itertools.pairwise+more-itertools
3.12 itertools: batched=more_itertools.batched+more-itertools
3.11 math: cbrt
3.10 types: NoneType=type(None)
3.9 typing=typing_extensions.*+typing-extensions: Annotated
3.10 typing=typing_extensions.*+typing-extensions: Concatenate, ParamSpec, TypeAlias, TypeGuard
3.10 typing=typing_extensions.*+typing-extensions: is_typeddict
3.11 typing=typing_extensions.*+typing-extensions: LiteralString, Never, NotRequired, Required
3.11 typing=typing_extensions.*+typing-extensions: Self, TypeVarTuple, Unpack, assert_never
3.11 typing=typing_extensions.*+typing-extensions: assert_type, dataclass_transform, reveal_type
3.12 typing=typing_extensions.*+typing-extensions: TypeAliasType, override
3.13 typing=typing_extensions.*+typing-extensions: NoDefault, ReadOnly, TypeIs
3.13 warnings: deprecated=typing_extensions.deprecated+typing-extensions
"""


def _parts(text: str) -> tuple[str, str, str]:
    """The name of an entry, what to use instead, and the package."""
    text, _, package = text.partition("+")
    name, _, instead = text.partition("=")
    return name, instead, package


def _read(table: str) -> dict[tuple[str, str], Change]:
    """The changes by module and name; the module is empty for what is one itself."""
    found = {}
    for line in table.strip().splitlines():
        head, _, entries = line.partition(": ")
        version, _, of = head.partition(" ")
        module, *of_each = _parts(of)
        for entry in entries.split(", "):
            name, *own = _parts(entry)
            told = [one or each.replace("*", name) for one, each in zip(own, of_each, strict=True)]
            found[module, name] = Change(version, *(one or None for one in told))
    return found


def _modules(changes: dict[tuple[str, str], Change]) -> dict[str, Change]:
    return {name: change for (module, name), change in changes.items() if not module}


REMOVED_NAMES, ADDED_NAMES = _read(_REMOVED), _read(_ADDED)
REMOVED_MODULES, ADDED_MODULES = _modules(REMOVED_NAMES), _modules(ADDED_NAMES)


def known_part(name: str) -> str:
    """A module, or the package it is in, whichever the tables have."""
    parts = name.split(".")[:4]
    names = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
    return next((one for one in names if one in REMOVED_MODULES or one in ADDED_MODULES), name)
