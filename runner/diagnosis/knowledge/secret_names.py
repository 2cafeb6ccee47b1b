"""Names that say of their values that they are secret: of variables, keys, options, headers.

The words are those of detect-secrets (``plugins/keyword.py``) and of gitleaks' rule
``generic-api-key``, whose list of what only looks like a secret's name is here too.
"""

import re

_PASSWORDS = (
    r"PASSWOR[DT]|PASSWD|PASSPHRASE|PASSCODE|SECRET|PWD"
    r"|(?:^|_|DB|DATABASE|FTP|KEY|MYSQL|SMTP|SSH|USER)PASS"
)
# At a word's end, so that TOKENIZERS and AUTHOR do not match.
_SECRET = re.compile(
    rf"(?:{_PASSWORDS}|CREDENTIAL|(?:^|_)CRED|TOKEN|BEARER|COOKIE|SESSID|SESSIONID|DSN|CONNECTION_?STRING|HTTP_HEADER|(?:^|_)PAT"
    r"|(?<!mon)(?<!tur)(?<!don)(?<!hoc)KEY)S?(?:_|$)"
    r"|JWT|WEBHOOK|(?:^|_)AUTH(?!OR(?!I[ZS]ATION)|ENTIC)",
    re.IGNORECASE,
)
_PASSWORD = re.compile(rf"(?:{_PASSWORDS})S?(?:_|$)", re.IGNORECASE)
_NO_SECRET = re.compile(
    r"^KEYS?$|^(?:OLD)?PWD$|^(?:MAX|MIN|NUM|N)_"
    r"|_(?:FILE|FILENAME|PATH|DIR|SOCK|NAME|COUNT|LENGTH|SIZE|TYPE|PROVIDER|TIMEOUT|LIMIT)$"
    r"|(?:PUB|PUBLIC|PRIMARY|FOREIGN|NATURAL|SCHEMA|SEQUENCE|BUCKET|IDX|INDEX|SORT|GROUP|CACHE"
    r"|PARTITION|MERGE|JOIN|DICT|LOOKUP|RNG|PRNG|RANDOM|HOT)_?KEYS?$",
    re.IGNORECASE,
)


# What a child gives as a name may have megabytes; what it names is said at its end.
_LONGEST = 200


def _as_variable(name: str) -> str:
    return name[-_LONGEST:].replace("-", "_")


def says_secret(name: str) -> bool:
    """Tell whether a name speaks of a secret: ``CDC_API_TOKEN``, ``clientSecret``, ``KEY_FILE``."""
    return _SECRET.search(_as_variable(name)) is not None


def has_secret(name: str) -> bool:
    """Tell whether its value is the secret itself, and not its file, its kind or its length."""
    name = _as_variable(name)
    return _SECRET.search(name) is not None and _NO_SECRET.search(name) is None


def is_password(name: str) -> bool:
    """Tell whether what has this name may be any word or number, as no token or key is."""
    return _PASSWORD.search(_as_variable(name)) is not None
