"""Secrets, a case for each kind; and what only looks like one."""

import json

import pytest

from runner.diagnosis.report.sanitise import mask_text
from runner.diagnosis.report.secret_spans import replace_secrets

TOKEN = "a1B2" * 9
HASHED = "hunter2" * 13
SECRETS = [
    # by the name that it is assigned to
    *("DB_PASS=hunter2", "X_PWD=hunter2", "SLACK_WEBHOOK=hunter2", "STRIPE_KEY=hunter2"),
    *("SSHPASS=hunter2", "dbPass: hunter2"),
    *("GH_PAT=hunter2", "NPM_AUTH=hunter2", "MY_JWT=hunter2", "PASSWORD=123456", "pass=hunter2"),
    *("Server=x;pwd=hunter2;", "api_key: hunter2", "x-api-key: hunter2", "--token hunter2"),
    *('{"clientSecret": "hunter2"}', "['--password', 'hunter2']", "--api-key=hunter2"),
    *('os.environ["A_TOKEN"] = "hunter2"', 'password: str = "hunter2"', "Cookie: s=hunter2"),
    # quoted, with whatever a password may have
    *('password="hunter2 b"', 'password="hunter2, b"', "password='hunter2; b'"),
    *("password='hunter2\"b c'", "password='it\\'s hunter2'", "PASSWORD=it'shunter2"),
    # unquoted, of several words
    *("passphrase: hunter2 hunter2 hunter2", "INFO Passphrase: a hunter2", "secret: a hunter2"),
    *("  password: a hunter2\n  user: x", "passphrase: |\n  a hunter2", "passphrase:\ta hunter2"),
    # in URLs
    *("postgres://u:p@hunter2@host/db", "postgres://u:p/hunter2@host/db", "https://hunter2@h/x"),
    *("postgres://u:p's\"hunter2@host.org/db", "https://h/x?sig=hunter2", "https://h/?token=hunter2"),
    *("https://h/?X-Amz-Signature=hunter2&x=1", "https://h/?a=1&key=hunter2"),
    # in headers
    *("authorization: bearer hunter2abc", "bearer hunter2abc", "Authorization: token hunter2"),
    "'Authorization': 'token hunter2'",
    # by their shape
    *(f"x ghp_{TOKEN}", f"x github_pat_{TOKEN}", "AKIAIOSFODNN7EXAMPLE", f"sk-proj-{TOKEN}"),
    *("xoxb-123456789012-abcdefghij", f"glpat-{TOKEN[:20]}", f"hf_{TOKEN[:34]}", f"sk-{TOKEN}"),
    *("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc_def-1", f"npm_{TOKEN}"),
    *("using s.Xh7Kd92LmQpR4tVwYz3BnC8f now", f"hvr.{TOKEN[:30]}", f"CfDJ8{TOKEN}{TOKEN}"),
    "SWMTKN-1-49nj1cmql0jkz5s954yi3oex3nedyz0fb0xx14ie39trti4wxv-8vxv8rssmk743ojnwacrr2e7c",
    *(f"NRAK-{'A1' * 13}B", f"HRKU-AA{TOKEN}{TOKEN[:22]}", f"a1.atlasv1.{TOKEN}{TOKEN[:30]}"),
    f"mailgun: key-{'9f86d081' * 4}",
    *(f"GOCSPX-{TOKEN[:28]}", f"https://api.telegram.org/bot123456789:AA{TOKEN[:33]}/x"),
    # on a command line, in a file's block, in a tuple
    *("curl -u svc:hunter2 https://h", "['curl', '--user', 'svc:hunter2']", "sshpass -p hunter2"),
    *("['mysql', '-uroot', '-phunter2']", "oracle:thin:a/hunter2@h", "<a_token>hunter2</a_token>"),
    *("machine h\n  login svc\n  password hunter2", "token: |\n  hunter2", "token: >-\n  hunter2"),
    *("[('x-api-key', 'hunter2')]", "(b'authorization', b'hunter2')"),
    "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/x, Signature=hunter2",
    *("password -> hunter2", "Passwort: hunter2", "PHPSESSID=hunter2", "JSESSIONID: hunter2"),
    *("docker login -u a -p hunter2 h", "['az login', '-u', 'a', '-p', 'hunter2']"),
    *("redis-cli -a hunter2 x", "['sqlcmd', '-U', 'sa', '-P', 'hunter2']", "7z x -phunter2 a.7z"),
    *("unzip -P hunter2 a.zip", "mongodump -u a -p hunter2", "ldapsearch -x -w hunter2"),
    *("openssl rsa -passin pass:hunter2", "lftp -u a,hunter2 h", "smbclient //h -U a%hunter2"),
    "CREATE USER a IDENTIFIED BY 'hunter2'", "ALTER ROLE a WITH PASSWORD 'hunter2'",
    *("password=SecretStr('hunter2')", "password%3Dhunter2", "password <- 'hunter2'"),
    # as a name and a value beside each other, and coloured
    *('{"name": "DB_PASSWORD", "value": "hunter2"}', "- name: API_TOKEN\n  value: hunter2"),
    *("name: API_TOKEN value: hunter2", "the password value: hunter2"),
    *('<add key="password" value="hunter2"/>', "\x1b[2m'password'\x1b[m: \x1b[1m'hunter2'"),
    # by a name that says so of some values alone
    *(f"session_id={TOKEN}", '{"session-id": "9F86d081-884c-7d65-9a2f-eaa0c55ad015"}'.lower()),
    # in prose
    *("the password is hunter2", "Password was 'hunter2'.", "password for alice: hunter2"),
    *("invalid password 'hunter2' for a", "Your API key is hunter2abc", "api key: hunter2"),
    *(f"the token is {TOKEN[:30]}", f"API token for alice: '{TOKEN[:30]}'"),
    *("admin pw is hunter2, as ever", "pwd was: 'hunter2'", "login failed: pw is hunter2&3; exit"),
    # hashes of passwords
    *(f"${kind}$saltsalt${HASHED[:43]}" for kind in ("1", "5", "6$rounds=5000", "apr1", "y$j9T")),
    *(f"root:$2b$12${HASHED[:53]}:19000", f"x:$6$a.b/c${HASHED[:86]}:19000:0:99999:7:::"),
    *(f"$argon2id$v=19$m=65536,t=3,p=4$c2FsdA${HASHED[:43]}", f"scrypt:32768:8:1$salt${HASHED}"),
    *(f"pbkdf2_sha256$260000$salt${HASHED[:43]}=", f"SCRAM-SHA-256$4096:c2E=${HASHED}=:{HASHED}="),
    f"discord MTk4NjIyNDgzNDcxOTI1MjQ4.Cl2FMQ.{HASHED[:27]}",
    *("db.org:5432:epi:alice:hunter2", "h:5432:*:alice:hunter2", "*:*:*:alice:hunter2"),
    # in JSON in JSON in JSON
    json.dumps({"a": json.dumps({"b": json.dumps({"password": "hunter2"})})}),
    # keys
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nhunter2\n-----END PGP PRIVATE KEY BLOCK-----",
    "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nhunter2\n",
]  # fmt: skip
READABLE = [
    *("x = s.standardDeviationOfMean4", "s.getValueFrom2DArrayAtIdx3(1)", "the token is 3"),
    *("docker run -p 127.0.0.1:5432:5432 postgres", "10:31:22:123:456", "a.py:31:8:E501:line"),
    *("the key is 'incidence_by_age'", "the secret is to seed each generator", "CfDJ8"),
    *('TOKEN = os.environ["CDC_API_TOKEN"]', "token = get_token(x)", "self.token = token"),
    *("f(token=self.token, x=1)", "token: Optional[str] = None", "password = getpass()"),
    *("KeyError: 'API_TOKEN'", 'os.getenv("TOKEN", "x")', "rng_key=jax.random.PRNGKey(0)"),
    *("max_tokens=100", "n_tokens: 3", "first pass: 12", "invalid token: expected x"),
    *("PWD=/work/x", "SSH_AUTH_SOCK=/tmp/x", "cache_key=abcdef123", "key=abc", "author: Ada"),
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    *("550e8400-e29b-41d4-a716-446655440000", "Basic reproduction number R0=2"),
    "/usr/lib/python3/site-packages/some-very-long-file-name_123.py",
    *("http://host:8080/path@x", "see https://example.org/simple/ and mail me@example.org"),
    *("git+https://github.com/a/b.git@v1", "export TOKEN=$OTHER", "--token TOKEN"),
    *("/etc/passwd: Permission denied", "cannot open `/etc/passwd`: File exists"),
    *("/run/secrets/password: No such file", "ssh://git@github.com/a/b.git", "pass=3 fail=2"),
    *("?page=2&key=name", "&code=US", "auth: OK", "docker run -u 1000:1000 x"),
    *("token -> 'Ab'", "tokens -> ids", "def token() -> str:", "docker run -p 8080:80"),
    *("session_id: 3", "response=abcdef", "{'key': '9f86d081884c7d659a2feaa0c55ad015'}"),
    *("session_id=2026-11-27T18:00:00", "docker run --name mysql -p 3306:3306 mysql:8"),
    *("patients identified by 'id'", "openssl req -keyout server.pem", "unzip -l a.zip"),
    *("secret_sharing_protocol_of_the_epidemic_model_2_a", "token, value = pair"),
    *("the token value: expected", "each key value: 3", "token\n\nvalue: int"),
    *("mongosh --port 27017", "the archive.zip -P", "key%3Dname", "name: n_tokens\n  value: 3"),
    *("the password is required since v2", "password is base64 encoded", "password is 8 long"),
    *("passphrase is at least 12 characters", "api key: see docs/api2.md"),
    *("the password was read from line 12", "password for alice: wrong", "api key is v2/keys"),
    *("pw is 1.2345e-05", "the pw is 0.1234567", "pwd is /home/ada/model2", "the ipw is weight_12"),
    *("bypass=hunter2", "compass: north12", f"key-{'9f86d081' * 4}"),
    *("costs $1$ and $2$ or $5$", "$1$a$b", "print $1$2$3", "scrypt is slow: $12 an hour"),
    *("NonlinearModelFactoryBase1.create.with_a_very_long_function_name_1", "pw iscool12"),
    *("the key is patient17", "the token is attention_12", "pass: 12 of 14", "pw=0.8"),
    *("refuses the credentials: 401 Unauthorized", "pip install sk-learn-some-long-package"),
]  # fmt: skip


@pytest.mark.parametrize("text", SECRETS)
def test_each_kind_of_secret_is_masked_in_reports_and_recordings_alike(text: str) -> None:
    shown = mask_text(text)
    assert "****" in shown and TOKEN[:20] not in shown
    assert "hunter2" not in shown and "884c" not in shown
    assert mask_text(shown) == shown
    recorded = replace_secrets(text.encode(), lambda secret: b"*" * len(secret)).decode()
    assert len(recorded) == len(text) and mask_text(recorded) == shown
    wire = json.dumps({"message": text, "count": 1}).encode()
    masked = replace_secrets(wire, lambda secret: b"*" * len(secret), json=True)
    assert len(masked) == len(wire)
    assert mask_text(json.loads(masked)["message"]) == shown


@pytest.mark.parametrize(
    "after",
    [
        *(" user: alice", " host=db.org", " # of alice", " (of alice)", ", user: alice"),
        *("\nx: a b", ") or not", " -> x", "; retrying in 3 s", "' for alice"),
    ],
)
def test_what_follows_a_password_of_several_words_stays_readable(after: str) -> None:
    assert mask_text(f"password: abc d-e{after}") == f"password: ****{after}"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("password = ", " if b else c"),
        ("no password: ", " PGPASSWORD to have one"),
        ("def f(password: ", " | None = None) -> bool: ..."),
        ("token: ", " and then more"),
    ],
)
def test_what_follows_in_code_and_in_words_about_it_stays_readable(before: str, after: str) -> None:
    assert mask_text(f"{before}Hunter2{after}") == f"{before}****{after}"


@pytest.mark.parametrize(
    "before", ['Digest username="a", response="', "{'username': 'a', 'key': '"]
)
def test_a_digest_is_masked_where_it_opens_something(before: str) -> None:
    digest = TOKEN[:1] + "9f86d081884c7d659a2feaa0c55ad01"
    assert mask_text(f"{before}{digest}") == f"{before}****"


@pytest.mark.parametrize("text", READABLE)
def test_code_digests_counts_and_paths_stay_readable(text: str) -> None:
    assert mask_text(text) == text


def test_a_number_on_the_wire_stays_a_number() -> None:
    wire = b'{"api_token": 123456789012, "a_secret": "abc\\"d", "ok": "y"}'
    masked = replace_secrets(wire, lambda secret: b"*" * len(secret), json=True)
    assert json.loads(masked) == {"api_token": 123456789012, "a_secret": "*" * 6, "ok": "y"}
