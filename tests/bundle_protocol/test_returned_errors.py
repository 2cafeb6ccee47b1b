"""Errors that a framework returns in place of results, and results that look like them."""

import base64
import json
import traceback
from pathlib import Path

import pytest

from bundle_protocol.messages import RequestError
from bundle_protocol.outputs import encode_outputs
from bundle_protocol.returned_errors import returned_error
from bundle_protocol.transport import Transport
from runner import Runner, RunnerError


def trace() -> str:
    try:
        raise ValueError("beta is negative")
    except ValueError:
        return traceback.format_exc()


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def as_base64(value: object) -> bytes:
    return base64.b64encode(as_json(value))


TYPED = {"type": "ValueError", "message": "beta is negative"}
SAID = {"error": "no model is registered as 'sir'"}

FAILURES: list[dict[str, bytes]] = [
    {"error": as_json(TYPED)},
    {"error": as_base64(TYPED)},
    {"error": as_base64(SAID)},
    {"error": as_base64({"error": "ValueError: beta is negative"}), "table": b"a,b\n"},
    {"errors": as_json([TYPED, TYPED]), "table": b"a,b\n"},
    {"errors.json": as_json(["ValueError: beta is negative"])},
    {"table": b"", "metadata": as_json(SAID)},
    {"table": b"", "metadata": as_base64(SAID)},
    {"table": b"", "metadata.json": as_json({"error": TYPED, "seed": 1})},
    {"table": b"", "status": as_json({"status": "failed", "message": "no such entry point"})},
    {"table": b"", "error": b"no model is registered as 'sir'"},
    {"metadata": as_json({"error": TYPED})},
    {"metadata": as_json({"traceback": trace()}), "log": b"began\n"},
    {"status": as_json({"exception": "ValueError: beta is negative"}), "table": b""},
    {"metadata": as_json({"errors": [TYPED]}), "table": b""},
    {"metadata": as_json({"status": "failed", "error": "timeout"}), "table": b""},
    {"status": as_base64({"status": "ERROR", "traceback": "in step 3"}), "table": b""},
    {"status": as_json({"status": "failed"}), "table": b""},
    {"error": as_json({"status": "failed", "error": "timeout"}), "table": b""},
]

RESULTS: list[dict[str, bytes]] = [
    {"error": b"0.03"},
    {"errors": b"day,error\n0,0.1\n"},
    {"errors": as_json([0.1, 0.2])},
    {"errors": as_json([])},
    {"errors": as_json([{"name": "fit", "error": 0.2}])},
    {"errors": as_json({"rmse": 0.1, "type": "relative"})},
    {"error": base64.b64encode(bytes(range(48)))},
    {"error": b"12345678901234567890"},
    {"metadata": as_json({"error": None, "type": "sir", "message": "done in two steps"})},
    {"metadata": as_json({"error": "gaussian with a drift"}), "table": b"1"},
    {"metadata": as_json({"error": "gaussian with a drift"})},
    {"metadata": as_json({"error": 0.05, "exception": False, "traceback": []}), "table": b""},
    {"metadata": as_json({"type": "sir", "name": "Base Model"}), "table": b""},
    {"metadata": b"no JSON: ValueError", "table": b""},
    {"metadata": as_json([TYPED]), "table": b"1"},
    {"status": as_json({"status": "ok"}), "table": b""},
    {"status": b"ok"},
    {"status": as_json({"status": "failed", "error": "timeout"}), "table": b"1"},
    {"metadata": as_json({"status": "failed"})},
    {"metadata_of_errors": as_json(TYPED)},
]


def encode(outputs: dict[str, bytes]) -> list[str]:
    """The notes that there are."""
    notes: list[str] = []
    wire: Transport | None = None
    encode_outputs(outputs, wire, None, 1, notes.append)  # type: ignore[arg-type]  # All is small.
    return notes


@pytest.mark.parametrize("outputs", FAILURES, ids=str)
def test_an_exception_that_is_returned_is_a_failure(outputs: dict[str, bytes]) -> None:
    with pytest.raises(RequestError, match="holds an exception") as caught:
        encode(outputs)
    assert caught.value.data is not None
    exception = caught.value.data["exception"]
    assert isinstance(exception, dict)
    assert exception["type"] in ("ValueError", "")
    assert "beta is negative" in exception["message"] or exception["type"] == ""


@pytest.mark.parametrize("outputs", RESULTS, ids=str)
def test_what_only_looks_like_one_is_a_result(outputs: dict[str, bytes]) -> None:
    assert not [note for note in encode(outputs) if "zero bytes" not in note]


def test_what_is_large_is_not_looked_at() -> None:
    large = as_json({"error": TYPED, "x": "x" * 100_000})
    assert returned_error("metadata", large, [0]) is None


def test_what_stands_beside_results_is_noted() -> None:
    assert encode({"metadata": as_json({"error": TYPED}), "table": b"1"}) == [
        "output 'metadata' holds an exception: ValueError: beta is negative"
    ]


@pytest.mark.parametrize(
    ("outputs", "notes"),
    [
        ({"table": b"", "log": b"x"}, ["outputs of zero bytes: 'table'"]),
        ({"table": b"", "log": b""}, ["all outputs are empty, of zero bytes"]),
        ({"table": b"1"}, []),
    ],
    ids=str,
)
def test_outputs_of_zero_bytes_are_noted(outputs: dict[str, bytes], notes: list[str]) -> None:
    assert encode(outputs) == notes


@pytest.mark.parametrize("isolation", ["fork", "warm", "fresh"])
def test_the_report_names_the_output_and_the_result_has_the_note(
    tmp_path: Path, cache: Path, isolation: str
) -> None:
    (tmp_path / "requirements.txt").write_text("")
    (tmp_path / "wire.py").write_text(f"""
def wire(entrypoint, params, seed):
    return {{"table": b"", "metadata": {as_json(SAID)!r} if entrypoint == "fail" else b"1"}}
""")
    with Runner(cache=cache, isolation=isolation) as runner:
        assert "outputs of zero bytes: 'table'" in runner.execute(tmp_path, "empty").notes
        with pytest.raises(RunnerError) as caught:
            runner.execute(tmp_path, "fail")
    report = caught.value.report
    assert report.code == "result-invalid"
    assert "returned it as the output 'metadata'" in report.summary
    assert "no model is registered as 'sir'" in report.summary


@pytest.mark.parametrize(
    ("outputs", "number"),
    [
        ({"a.json": b'{"x": NaN}'}, "NaN"),
        ({"a.json": b'{"x": [1, -Infinity]}'}, "-Infinity"),
        ({"a.json": b'{"x": "NaN"}', "b.csv": b"NaN"}, None),
        ({"a.json": b"Infinity and no JSON"}, None),
    ],
)
def test_what_is_no_json_is_noted(outputs: dict[str, bytes], number: str | None) -> None:
    notes = [note for note in encode(outputs) if "which is no JSON" in note]
    assert len(notes) == (number is not None)
    assert number is None or f"'a.json' has {number} in it" in notes[0]
