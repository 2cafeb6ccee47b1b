"""Shapes of secrets: of tokens, and of what follows certain words.

They are those of gitleaks (``config/gitleaks.toml``) and detect-secrets, and of programs that take
a password.
"""

RANDOM = (
    rb"(?:[0-9a-f*]{24,128}|[0-9a-f*]{8}-(?:[0-9a-f*]{4}-){3}[0-9a-f*]{12}"
    rb"|(?=[\w+/-]{0,60}(?:\d|\*))(?=[\w+/-]{0,60}(?:[A-Z]|\*))(?=[\w+/-]{0,60}(?:[a-z]|\*))"
    rb"[A-Za-z0-9_+/*-]{24,400}={0,2})(?![\w*.-])"
)
"""The values that no word, number, date or path is."""

# Beginnings stay, so that a reader sees of which service a token is.
SHAPES = (
    (rb"gh[pousr]_", rb"[A-Za-z0-9]{36,255}"),  # GitHub
    (rb"github_pat_", rb"\w{22,255}"),
    (rb"gl(?:pat|dt|ft|rt|ptt|cbt|oas|imt|agent|soat|ffct)-", rb"[\w-]{20,300}(?:\.[\w.]{2,20})?"),
    (rb"(?:A3T[A-Z0-9]|AKIA|ASIA|ABIA|ACCA)", rb"[A-Z0-9]{16}"),  # AWS
    (rb"ABSK", rb"[A-Za-z0-9+/]{109,269}={0,2}"),
    (rb"xox[abeoprs]-", rb"[A-Za-z0-9-]{10,250}"),  # Slack
    (rb"xapp-", rb"\d-[A-Za-z0-9-]{10,250}"),
    (rb"sk-(?:proj-|svcacct-|admin-|ant-[a-z]+\d*-)?", rb"(?=[\w-]{0,60}\d)[\w-]{20,300}"),
    (rb"(?:sk|rk|pk)_(?:test|live|prod)_", rb"[A-Za-z0-9]{10,99}"),  # Stripe
    # JWT (RFC 7519), and what is encrypted (RFC 7516), whose second part may be empty.
    (rb"eyJ", rb"[\w-]{13,4000}\.(?:[\w-]{6,8000}|(?=\.[\w-]{8}))(?:\.[\w-]{0,8000}={0,2}){0,3}"),
    (rb"(?:hf_|api_org_)", rb"[A-Za-z0-9]{30,60}"),  # Hugging Face
    (rb"(?:npm|pnu|dckr_pat|glc|glsa|lin_api|ntn)_", rb"[\w+/-]{27,400}={0,3}"),
    (rb"(?:do[opr]_v1|pscale_(?:tkn|oauth|pw)|rdme|rubygems|sntry[su])_", rb"[\w.=-]{32,300}"),
    (rb"shp(?:at|ca|pa|ss)_", rb"[a-fA-F0-9]{32}"),
    (rb"pypi-AgE", rb"[\w-]{50,1000}"),
    (rb"AIza", rb"[\w-]{35}"),  # Google
    (rb"GOCSPX-", rb"[\w-]{20,40}"),
    (rb"(?<=\d:)A", rb"[\w-]{34}"),  # Telegram
    # Discord: the base 64 of a number's digits comes first.
    (rb"(?:[MNO][DTjz][AEIMQUYcgk][w-z0-5]){5,6}\w{0,3}", rb"\.[\w-]{6,7}\.[\w-]{27,40}"),
    (rb"(?<=ya29\.)", rb"[\w-]{20,1000}"),
    (rb"(?<=\bSG\.)", rb"[\w-]{16,32}\.[\w-]{16,64}"),  # SendGrid
    (rb"(?<=\bhv[bsr]\.)", rb"[\w-]{24,300}"),  # Vault
    (
        rb"(?<=\bs\.)",  # Vault, up to 1.9; a name has no digits at two places, as a rule
        rb"(?=[A-Za-z]{0,22}\d{1,9}[A-Za-z]{1,21}\d)(?=[a-z\d]{0,23}[A-Z])[A-Za-z\d]{24}(?![.(\[])",
    ),
    (rb"SWMTKN-1-", rb"[a-z\d]{40,60}-[a-z\d]{25}"),  # Docker Swarm
    (rb"CfDJ8", rb"[\w-]{40,4000}"),  # ASP.NET
    (rb"dapi", rb"[a-f0-9]{32}(?:-\d)?"),  # Databricks
    (rb"(?:pul|xkeysib|PMAK|pplx|tk-us|ico|sq0atp|tskey)-", rb"(?=[\w-]{0,60}\d)[\w-]{22,200}"),
    (rb"AGE-SECRET-KEY-1", rb"[0-9A-Z]{58}"),
    (rb"ATATT3", rb"[\w=-]{100,300}"),
    (rb"SK", rb"[0-9a-f]{32}"),  # Twilio
    (
        rb"(?:gsk|figd|whsec|phx|tgp_v\d|fm2|secret|pat|r8)_",
        rb"(?=\w{0,60}\d)[A-Za-z\d/+-]{32,400}={0,2}",
    ),
    (rb"(?:xai|nvapi)-", rb"[\w-]{60,100}"),
    (rb"NRAK-", rb"[A-Z0-9]{27}"),  # New Relic
    (rb"HRKU-AA", rb"[\w-]{58}"),  # Heroku
    (rb"(?<=\.atlasv1\.)", rb"[\w=-]{60,72}"),  # Terraform
    (rb"GR1348941", rb"[\w-]{20}"),  # GitLab's runners
    (rb"LTAI", rb"[A-Za-z0-9]{17,25}"),  # Alibaba
    (rb"cio", rb"[A-Za-z0-9]{32}"),  # crates.io
    (rb"EAACEdEose0cBA", rb"[A-Za-z0-9]{20,400}"),  # Facebook
    (rb"(?<=\b1//)0", rb"[\w-]{40,200}"),  # Google's refresh tokens
)


def _option(option: bytes, before: bytes = rb"['\"]{0,1},?[\s'\"=]{1,3}") -> bytes:
    """Match what a program is given with an option, on a command line or in a list of its words.

    :param before: what may stand before it.
    """
    return rb"[^\n]{0,80}?[\s'\"]" + option + before + rb"(?!\d{2,5}:\d)([^\s'\",]{4,200})"


# In one word with it, or not.
_P = _option(rb"-p", rb"(?:['\"],)?[\s'\"]{0,3}")
_QUOTED = rb"(?:\s{0,8}(?:=\s{0,4})?|b)\\{0,15}['\"]([^'\"\\\n]{1,1000})"
_GAP = rb"(?:\s|\\[nr]){1,8}"
# In prose a password is told from the words that may stand there by its digits and letters.
_WITH_DIGITS = (
    rb"\\{0,15}['\"]?(?!(?:base|sha|utf-)\d)((?=[^\s'\"]{0,60}[\d*])(?=[^\s'\"]{0,60}[A-Za-z*])"
    rb"[^\s'\",;:\\/()\[\]{}<>=]{7,200})(?![\w/(\[=:])"
)
_NO_NUMBER = rb"(?![-+]?[\d.]+(?:e[-+]?\d+)?\b)"
_PROSE = (
    rb"(?:\s{1,3}(?:is|was):?\s|\s{1,3}for\s[^\s:]{1,60}:\s|:\s|\s(?=\\{0,15}['\"]))" + _WITH_DIGITS
)
# A hash of a password, after its salt: guesses may be compared with it.
_HASH = rb"((?:[A-Za-z\d+/.:=-]{20,200}|\*{5,})(?![\w*]))"
# What follows certain words, where one of these is in the text: that takes less time to see.
AFTER = (
    ((b"bearer", b"basic"), (b" ",),
     rb"[ \t]{1,8}((?=[\w.~+/-]{0,200}(?:[0-9=*]|[a-z][A-Z]))[A-Za-z0-9._~+/=*-]{8,4000})"),
    ((b"password", b"passphrase", b"passcode", b"api key"),
     (b"passw", b"passp", b"passc", b"api key"), _PROSE),
    *(
        # A pressure is a number, and "ipw" another word.
        ((word,), (word,), rb"(?<!(?i:\w" + word + rb")):?\s" + _NO_NUMBER + _WITH_DIGITS)
        for word in (b"pw is", b"pw was", b"pwd is", b"pwd was")
    ),
    ((b"$2a$", b"$2b$", b"$2y$"), (b"$2",), rb"\d\d\$([./A-Za-z\d]{53}|\*{5,})"),  # crypt(5)
    ((b"$1$", b"$5$", b"$6$", b"$y$", b"$gy$", b"$7$", b"$apr1$"), (b"$",),
     rb"[\w=./]{1,30}\$(?:[\w./]{1,90}\$)?" + _HASH),
    ((b"argon2", b"pbkdf2", b"scrypt", b"scram-sha-"), (b"$",), rb"[\w:,=.+/$-]{1,160}\$" + _HASH),
    ((b"token", b"secret", b" key"), (b" is ", b" was ", b" for "),
     rb"\s(?:is|was|for\s[^\s:]{1,60}):?\s\\{0,15}['\"]?(" + RANDOM + rb")"),
    ((b":5432:", b":*:*:"), (b":",), rb"(?:[\w*-]{1,63}:)?[\w.-]{1,63}:([^\s:'\"\\]{3,200})"),
    ((b"login",), (b" ",),
     _GAP + rb"[^\s\"\\]{1,200}" + _GAP + rb"password" + _GAP + rb"(?!PASSWORD\b)"
     rb"([^\s'\",;\\]{1,1000})"),
    ((b"?sig=", b"&sig=", b"signature=", b"?key=", b"&key=", b"?code=", b"&code="),
     (b"?", b"&", b", signature="), rb"([^\s&#'\"<>\\]{6,2000})"),
    ((b" -u", b"--user", b"'-u", b"oracle:thin"), (b"curl", b"wget", b"oracle"),
     rb"[\s=:'\",]{1,5}[^\s/:'\"]{1,100}[:/]([^\s'\",@]{4,1000})"),
    ((b"sshpass", b"mysql", b"docker login", b"podman login", b"az login"),
     (b"pass", b"mysql", b" login"), _P),
    ((b"mongosh", b"mongo -u", b"mongodump", b"mongorestore"), (b"mongo",), _P),
    ((b"7z ", b"mariadb"), (b"7z ", b"mariadb"), _P),
    ((b"redis-cli",), (b"redis",), _option(rb"-a")),
    ((b"ldapsearch", b"ldapadd", b"ldapmodify", b"ldapdelete"), (b"ldap",), _option(rb"-w")),
    ((b"sqlcmd", b"zip"), (b"sqlcmd", b"zip -", b"zip'"), _option(rb"-P")),
    ((b"openssl",), (b"openssl",), _option(rb"-pass(?:in|out)?", rb"['\",\s]{1,4}pass:")),
    ((b"openssl",), (b"openssl",), _option(rb"-k")),
    ((b"smbclient", b"smbget"), (b"smb",), _option(rb"-U", rb"[\s'\",]{0,4}[^\s%'\"]{1,100}%")),
    ((b"lftp",), (b"lftp",), _option(rb"-u", rb"[\s'\",]{1,4}[^\s,'\"]{1,100},")),
    ((b"configure set aws_s",), (b"aws_s",), rb"\w{4,30}[\s'\",]{1,4}([^\s'\",]{8,2000})"),
    ((b"identified by",), (b"alter user", b"create user", b"grant all"), _QUOTED),  # SQL
    ((b"with password", b"encrypted password", b"set password"), (b" password",), _QUOTED),
    ((b"secretstr(", b"secretbytes("), (b"secret",), _QUOTED),
    ((b"session_id", b"session-id"), (b"session",),
     rb"\\{0,15}['\"]?\s{0,4}[=:]\s{0,4}\\{0,15}['\"]?(" + RANDOM + rb")"),
    ((b"key-",), (b"mailgun",), rb"([0-9a-f*]{32})(?![\w*])"),
    ((b"private-lines:",), (b"putty",),
     rb" ?\d{1,3}" + _GAP + rb"((?:(?!Private-)[A-Za-z\d+/=*]{1,80}" + _GAP + rb"?){1,200})"),
    ((b"response=",), (b"digest ",), rb"\\{0,15}\"?([0-9a-f*]{32,128})"),
    ((b'"key', b"'key"), (b"username",),
     rb"\\{0,15}['\"]\s{0,4}:\s{0,4}\\{0,15}['\"]([0-9a-f*]{32})(?![0-9a-f*])"),
    ((b"password>", b"secret>", b"token>", b"key>"), (b"</",), rb"([^\s<>]{4,2000})(?=</)"),
    ((b"hooks.slack.com/", b"webhook.office.com/", b"/api/webhooks/"), (b"hooks",),
     rb"([\w/@.*-]{16,400})"),
)  # fmt: skip
