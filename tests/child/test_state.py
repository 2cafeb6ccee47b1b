"""The table of a child's states: that it is the documented one, and what follows from it."""

import re
from pathlib import Path

import pytest

from runner.child.state import TABLE, Event, Life, State

END = {Event.CLOSE, Event.ABANDON, Event.EXIT}


def test_the_architecture_shows_the_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
    life = text.partition("## The life of a child")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\w+) \|(.*?)\| ", life, re.MULTILINE)
    shown = {
        name: dict(re.findall(r"`(\w+)` → (\w+)", moves)) for name, moves in rows if name != "state"
    }
    assert shown == {
        state.value: {event.value: to.value for event, to in row.items() if event not in END}
        for state, row in TABLE.items()
    }
    ends = re.search(r"^The end may come in every state: (.*);", life, re.MULTILINE)
    assert ends is not None
    assert dict(re.findall(r"`(\w+)` → (\w+)", ends[1])) == {
        event.value: TABLE[State.IDLE][event].value for event in END
    }


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", sorted(END))
def test_the_end_may_come_in_every_state_and_is_final(state: State, event: Event) -> None:
    life = Life()
    life.state = state
    life.finish(event)
    assert not life.usable
    assert not life.settled
    assert not any(life.may(other) for other in set(Event) - END)
    assert TABLE[life.state][Event.CLOSE] is life.state


def test_what_may_not_come_changes_nothing() -> None:
    life = Life()
    with pytest.raises(KeyError):
        life.move(Event.ANSWER)
    assert life.state is State.STARTED


def after(*events: Event) -> Life:
    life = Life()
    for event in events:
        (life.finish if event in END else life.move)(event)
    return life


SENDING = (Event.HELLO, Event.REQUEST)
WAITING = (*SENDING, Event.SENT)
IDLE = (*WAITING, Event.ANSWER, Event.TAKEN)


def test_what_follows_from_a_state_is_remembered_at_the_end() -> None:
    for end in ((), (Event.EXIT,), (Event.CLOSE,), (Event.CLOSE, Event.EXIT)):
        assert after(*SENDING, *end).half_sent
        assert after(*WAITING, *end).waiting
        assert after(*WAITING, Event.READ, *end).reading
        assert not after(*IDLE, *end).waiting
    assert after(*IDLE).settled
    assert after(*IDLE, Event.EXIT).unasked
    # What has broken the protocol is told, and no other child tried.
    assert not after(*IDLE, Event.ABANDON, Event.EXIT).unasked
    assert not after(*WAITING, Event.EXIT).unasked
