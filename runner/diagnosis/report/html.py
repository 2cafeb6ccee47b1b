"""A report as one HTML page that needs nothing else: no network, no script, no other file."""

from collections.abc import Iterator
from html import escape
from textwrap import indent

import msgspec

from runner.diagnosis.report.frames import is_standard_library, without_told
from runner.diagnosis.report.model import (
    ExceptionInfo,
    Excerpt,
    Hint,
    PhaseTiming,
    Report,
    TaskInfo,
)
from runner.diagnosis.report.text import last_lines
from runner.events import Phase

_STYLE = """
:root { color-scheme: light dark; --fg: #1d2129; --bg: #fff; --soft: #5c6470; --line: #d9dde3;
  --card: #f6f7f9; --bad: #b3261e; --bad-bg: #fdecea; --good: #2e7d32; --mark: #fff3bf; }
@media (prefers-color-scheme: dark) { :root { --fg: #e4e7eb; --bg: #15181c; --soft: #9aa3af;
  --line: #343a42; --card: #1d2126; --bad: #ff8a80; --bad-bg: #3b1f1e; --good: #81c995;
  --mark: #5c4a00; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 60rem; background: var(--bg);
  color: var(--fg); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; line-height: 1.35; margin: .5rem 0; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
pre, code { font: 13px/1.5 ui-monospace, monospace; }
pre { margin: 0; padding: .75rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; white-space: pre-wrap; }
pre.scroll { max-height: 26rem; overflow: auto; }
mark { background: var(--mark); color: inherit; display: block; }
del, ins { display: block; text-decoration: none; }
del { color: var(--bad); } ins { color: var(--good); }
.code { display: inline-block; padding: .1rem .6rem; border-radius: 1rem; background: var(--bad-bg);
  color: var(--bad); font-weight: 600; }
.soft { color: var(--soft); }
.hint { margin: 0 0 1rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
td, th { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th, td:first-child { white-space: nowrap; }
.text { white-space: pre-line; margin: .5rem 0; }
.timeline { display: grid; grid-template-columns: max-content 1fr max-content; gap: .35rem .75rem;
  align-items: center; font-size: 14px; }
.timeline svg { width: 100%; height: 14px; display: block; background: var(--card);
  border-radius: 3px; }
.timeline .ok { fill: var(--good); } .timeline .failed, .timeline .cancelled { fill: var(--bad); }
@media (max-width: 34rem) { dl { grid-template-columns: 1fr; } dt { margin-top: .5rem; } }
"""


def report_page(report: Report) -> str:
    title = escape(f"{report.code.value}: {report.summary}")
    body = "\n".join(_body(report))
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def report_frame(report: Report) -> str:
    """The page as a part of another one, such as a notebook, that leaves the rest of it alone."""
    return (
        f'<iframe srcdoc="{escape(report_page(report))}" sandbox=""'
        ' style="width: 100%; height: 32rem; border: 1px solid #8884; border-radius: 6px"></iframe>'
    )


def _body(report: Report) -> Iterator[str]:
    retry = "may pass by itself" if report.retryable else "will not pass by itself"
    yield f'<span class="code">{escape(report.code.value)}</span>'
    yield f'<span class="soft">phase {escape(report.phase.value)} · {retry}</span>'
    yield f"<h1>{escape(report.summary)}</h1>"
    if report.explanation:
        yield f'<p class="text">{escape(report.explanation)}</p>'
    if report.hints:
        yield "<h2>What to do</h2>"
        yield from map(_hint, report.hints)
    if report.timeline:
        yield "<h2>Timeline</h2>"
        yield _timeline(report.timeline)
    if report.interpreter is not None and report.phase is Phase.INTERPRETER:
        yield "<h2>Interpreters found</h2>"
        yield _table(
            ("version", "path", ""),
            [(one.version, one.path, one.reason) for one in report.interpreter.found],
        )
    if report.exception is not None:
        yield "<h2>Exception</h2>"
        told = "\n\ncaused by\n\n".join(_exceptions(report.exception))
        yield f"<pre>{told}</pre>"
    evidence = report.evidence
    if evidence.uv is not None:
        yield "<h2>What uv said</h2>"
        yield _stream(evidence.uv.stderr, report.summary)
    for name, excerpt in (
        ("Standard error", evidence.stderr),
        ("Standard output", evidence.stdout),
        ("On the wire before the hello", evidence.wire_noise),
    ):
        if excerpt is not None and excerpt.text:
            yield f"<h2>{name}</h2>"
            text = without_told(excerpt.text, report.exception)
            yield _excerpt(msgspec.structs.replace(excerpt, text=text), report.summary)
    yield "<h2>Facts</h2>"
    yield _facts(report)


def _hint(hint: Hint) -> str:
    parts = [f'<div class="hint">{escape(hint.title)}']
    if hint.command is not None:
        parts.append(f"<pre>{escape(hint.command)}</pre>")
    if hint.edit is not None:
        edit = hint.edit.shown()
        before = "" if edit.before is None else f"<del>- {escape(edit.before)}</del>"
        after = f"<ins>+ {escape(edit.after)}</ins>"
        parts.append(f'<pre><span class="soft">{escape(edit.file)}</span>{before}{after}</pre>')
    return "".join(parts) + "</div>"


def _timeline(phases: list[PhaseTiming]) -> str:
    """A bar for each phase, on one scale of time."""
    end = max(phase.started_at + phase.seconds for phase in phases) or 1.0
    rows = []
    for phase in phases:
        left, width = 100 * phase.started_at / end, max(100 * phase.seconds / end, 0.5)
        rows.append(
            f"<span>{escape(phase.phase.value)}</span>"
            f'<svg role="img" aria-label="{escape(phase.outcome)}">'
            f'<rect class="{escape(phase.outcome)}" x="{left:.2f}%" width="{width:.2f}%"'
            f' height="100%" rx="3"/></svg>'
            f"<span>{phase.seconds:.3f} s</span>"
        )
    return f'<div class="timeline">{"".join(rows)}</div>'


def _exceptions(exception: ExceptionInfo) -> Iterator[str]:
    """The exceptions of a chain, as HTML."""
    current: ExceptionInfo | None = exception
    while current is not None:
        lines = []
        for number, frame in enumerate(current.traceback):
            if current.frames_omitted and number == len(current.traceback) // 2:
                lines.append(f"... {current.frames_omitted} calls left out")
            call = escape(f"{frame.file}:{frame.line} in {frame.function}")
            dim = is_standard_library(frame.file)
            lines.append(f'<span class="soft">{call}</span>' if dim else call)
            if frame.text:
                lines.append(f"    {escape(frame.text)}")
            if frame.repeated:
                lines.append(f"    repeated {frame.repeated} more times")
        lines.append(escape(f"{current.type}: {current.message}"))
        lines += [escape(f"note: {note}") for note in current.notes]
        for number, member in enumerate(current.exceptions, 1):
            told = "\n\ncaused by\n\n".join(_exceptions(member))
            lines += ["", f"member {number}", "", indent(told, "    ")]
        if current.causes_omitted:
            lines += ["", f"... {current.causes_omitted} causes left out"]
        yield "\n".join(lines)
        current = current.cause


def _excerpt(excerpt: Excerpt, summary: str) -> str:
    left_out = ", its head and its tail" if excerpt.truncated else ""
    return f'<p class="soft">{excerpt.total_bytes:,} bytes{left_out}</p>' + _stream(
        excerpt.text, summary
    )


def _stream(text: str, summary: str) -> str:
    """A stream, with the line marked that the summary quotes, else its last."""
    lines = text.rstrip("\n").split("\n")
    telling = [line for line in lines if len(line.strip()) > 3 and line.strip() in summary]
    marked = telling[-1:] or last_lines(text, 1)
    shown = "\n".join(
        f"<mark>{escape(line)}</mark>" if line in marked else escape(line) for line in lines
    )
    return f'<pre class="scroll">{shown.replace("</mark>" + chr(10), "</mark>")}</pre>'


def _facts(report: Report) -> str:
    bundle, worker, child = report.bundle, report.worker, report.child
    task = report.task if isinstance(report.task, TaskInfo) else None
    python = child.python if child else None
    environment = report.environment
    facts = [
        ("report", report.id),
        ("created", report.created_at),
        ("bundle", bundle and (bundle.name or bundle.path)),
        ("folder", bundle and bundle.path),
        ("digest", bundle and bundle.digest),
        ("requires Python", bundle and bundle.requires_python),
        ("wire function", bundle and bundle.entry_point),
        ("entry point", task and task.entrypoint),
        ("function", task and task.function),
        ("parameters", task and task.params),
        ("seed", task and task.seed),
        ("worker", worker and f"{worker.implementation} {worker.python}, {worker.platform}"),
        ("host", worker and worker.hostname),
        ("runner", worker and worker.runner_version),
        ("uv", worker and worker.uv_version),
        ("interpreter", report.interpreter and report.interpreter.chosen),
        ("environment", environment and environment.path),
        ("child's Python", python and f"{python.implementation} {python.version}"),
        ("child's command", child and " ".join(child.argv)),
        ("exit status", child and child.exit_code),
        ("signal", child and child.signal),
    ]
    known = [(name, str(value)) for name, value in facts if value is not None]
    rows = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in known)
    return f"<dl>{rows}</dl>"


def _table(names: tuple[str, ...], rows: list[tuple[str | None, ...]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell or '')}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
