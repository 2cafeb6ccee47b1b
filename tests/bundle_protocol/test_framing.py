import itertools
import json
import tracemalloc

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bundle_protocol.framing import FrameDecoder, FrameTooLarge, FramingError, Noise, encode_frame
from bundle_protocol.messages import MAX_HEAD_BYTES, MAX_HELLO_BYTES

HELLO = b'{"jsonrpc":"2.0","method":"hello"}'

bodies = st.lists(st.binary(max_size=200), max_size=4)
# Noise that is likely to look like a frame.
pieces_of_frames = st.sampled_from(
    [
        b"Content-Length: 5\r\n\r\n",
        b"content-length: 20\r\n",
        b"Content-Length: 16000\r\n\r\n{",
        b"Content-Le",
        b'{"jsonrpc"',
        b"\r\n\r\n",
        b"\r\n",
        b"{}",
        b"[" * 50,
        b"X-Y: z\r\n",
    ]
)
noises = st.lists(st.one_of(pieces_of_frames, st.binary(max_size=30)), max_size=8).map(b"".join)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]


def decode(
    decoder: FrameDecoder, chunks: list[bytes]
) -> tuple[bytes, list[bytes], tuple[str, int] | None]:
    """The noise, the frames, and which error ended them where, if any."""
    noise, frames = b"", []
    try:
        for chunk in chunks:
            for piece in decoder.feed(chunk):
                if isinstance(piece, Noise):
                    noise += piece
                else:
                    frames.append(bytes(piece))
        noise += decoder.close()
    except FramingError as error:
        return noise, frames, (type(error).__name__, error.offset)
    return noise, frames, None


@given(bodies)
def test_what_was_encoded_is_decoded(bodies: list[bytes]) -> None:
    stream = b"".join(map(encode_frame, [HELLO, *bodies]))
    assert decode(FrameDecoder(), [stream]) == (b"", [HELLO, *bodies], None)


@given(noises, bodies, st.binary(max_size=30), st.lists(st.integers(0, 10_000)))
def test_any_split_of_the_bytes_gives_the_same(
    noise: bytes, bodies: list[bytes], rest: bytes, cuts: list[int]
) -> None:
    stream = noise + b"".join(map(encode_frame, [HELLO, *bodies])) + rest
    assert decode(FrameDecoder(), split(stream, cuts)) == decode(FrameDecoder(), [stream])


@given(noises, st.lists(st.integers(0, 10_000)))
def test_noise_is_survived_whatever_it_is(noise: bytes, cuts: list[int]) -> None:
    stream = noise + b"\n" + encode_frame(HELLO)
    got_noise, frames, error = decode(FrameDecoder(), split(stream, cuts))
    assert (got_noise, frames, error) == (noise + b"\n", [HELLO], None)


@given(st.binary(), st.booleans())
@example(b"Content-Length: " + b"9" * 3000 + b"\r\n\r\n", True)
@example(b"Content-Length: -1\r\n\r\n", True)
@example("Content-Length: \u0661\r\n\r\n".encode(), True)
@example(b"Content-Length: 16000\r\n\r\n" + b"[" * 16000, False)
@example(b'Content-Length: 16000\r\n\r\n{"a":' + b"[" * 15995, False)
def test_arbitrary_bytes_raise_nothing_but_framing_errors(data: bytes, strict: bool) -> None:
    decode(FrameDecoder(strict=strict), [data])


@pytest.mark.parametrize(
    "noise",
    [
        b"a banner without a line's end",
        b"Content-Length: 5\r\n\r\nhello",
        b"Content-Length: 16000\r\n\r\n{ and nothing more",
        b"Content-Length: 16000\r\n\r\n{ Content-Length: 16000\r\n\r\n{ ",
        b"Content-Length: 2\r\n\r\n{}",
        b"Content-Length: 99999999\r\n\r\n{",
        b"Content-Length: 7\r\nContent-Length: 7\r\n\r\n{}",
        b"Content-Length: many\r\n\r\n",
        b"Content-Length: 3\r\nno field\r\n\r\n",
        b"Content-Length: \x1b[0m",
        b"\x00\xff" * 10_000,
    ],
)
def test_noise_that_looks_like_a_frame_delays_no_hello(noise: bytes) -> None:
    pieces = list(FrameDecoder().feed(noise + encode_frame(HELLO)))
    assert pieces[-1] == HELLO
    assert b"".join(pieces[:-1]) == noise


@pytest.mark.parametrize(
    ("noise", "held"),
    [
        (b"Segmentation fault\n", b""),
        (b"see Content-", b"Content-"),
        (b"Content-Length: twelve", b""),
        (b"Content-Length: 5\r\n\r\nhello", b""),
        (b"Content-Length: 5\r\n\r\nh", b""),
        (b"x Content-Length: 5\r\n\r\n{", b"Content-Length: 5\r\n\r\n{"),
        (b"Content-Length: 5\r\nX: Y", b"Content-Length: 5\r\nX: Y"),
    ],
)
def test_noise_is_held_back_only_while_it_may_become_a_frame(noise: bytes, held: bytes) -> None:
    decoder = FrameDecoder()
    assert b"".join(decoder.feed(noise)) + held == noise
    assert decoder.close() == held


def test_header_names_have_no_case_and_other_headers_mean_nothing() -> None:
    stream = b"content-LENGTH:  %d \r\nContent-Type: application/json\r\n\r\n%b" % (
        len(HELLO),
        HELLO,
    )
    other = b"X-Trace: 1\r\nCONTENT-length:2\r\n\r\n{}"
    assert list(FrameDecoder().feed(stream + other)) == [HELLO, b"{}"]


@pytest.mark.parametrize("size", [1, 64 * 1024])
@pytest.mark.parametrize(
    "text", [b"x", b"Content-Length: 16000\r\n\r\n{", b"Content-Length: 5\r\nX: ", b"\r\n{[\x00"]
)
def test_a_flood_of_noise_is_held_in_bounded_memory(size: int, text: bytes) -> None:
    total = 8_000 if size == 1 else 512 * 1024  # tracemalloc makes each byte dear
    chunk = (text * (size // len(text) + 1))[:size] if size > 1 else b""
    decoder = FrameDecoder()
    tracemalloc.start()
    try:
        for position in range(0, total, size):
            for _ in decoder.feed(chunk or text[position % len(text) :][:1]):
                pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 512 * 1024
    assert [*decoder.feed(b"\n" + encode_frame(HELLO))][-1] == HELLO


def test_before_the_first_frame_a_message_is_a_json_object_of_bounded_size() -> None:
    long = json.dumps({"jsonrpc": "2.0", "x": "x" * MAX_HELLO_BYTES}).encode()
    noise, frames, _ = decode(FrameDecoder(), [encode_frame(long) + encode_frame(HELLO)])
    assert (noise, frames) == (encode_frame(long), [HELLO])


def test_after_the_first_frame_noise_is_an_error_that_says_what_was_met_where() -> None:
    stream = encode_frame(HELLO)
    pieces = FrameDecoder().feed(stream + b"hello from C\n" * 100)
    assert next(pieces) == HELLO
    with pytest.raises(FramingError, match=f"at byte {len(stream)} .*hello from C") as caught:
        next(pieces)
    assert caught.value.offset == len(stream)
    assert len(caught.value.excerpt) == 80


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (b"Content-Type: x\r\n\r\n", "without one valid Content-Length"),
        (b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "without one valid"),
        (b"Content-Length: -1\r\n\r\n", "without one valid"),
        (b"X: " + b"x" * MAX_HEAD_BYTES, "does not end within 4096 bytes"),
        (b"\r\n", "expected a frame"),
        (b"Content-Length: 2\n\n{}", "expected a frame"),
    ],
)
def test_a_strict_decoder_takes_frames_alone(stream: bytes, problem: str) -> None:
    with pytest.raises(FramingError, match=problem):
        list(FrameDecoder(strict=True).feed(stream))


def test_a_body_over_the_limit_is_refused_as_soon_as_it_is_announced() -> None:
    with pytest.raises(FrameTooLarge, match="1001 bytes, over the limit of 1000") as caught:
        list(FrameDecoder(1000, strict=True).feed(b"Content-Length: 1001\r\n\r\n"))
    assert caught.value.announced == 1001


@pytest.mark.parametrize(
    "rest", [b"Content-Le", b"Content-Length: 5\r\n\r\n", encode_frame(b"12")[:-1]]
)
def test_an_end_inside_a_frame_is_an_error(rest: bytes) -> None:
    decoder = FrameDecoder()
    assert list(decoder.feed(encode_frame(HELLO) + rest)) == [HELLO]
    with pytest.raises(FramingError, match="ends inside a frame"):
        decoder.close()
