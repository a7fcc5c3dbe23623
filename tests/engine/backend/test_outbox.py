"""Answers that can wait are joined, and nothing is lost or overtaken."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.backend.outbox import Message, Outbox
from engine.contract.events import Refused


def _message(key: str, number: int, last: bool = False, can_wait: bool = False) -> Message:
    return Message(key, None, [Refused("CODE", str(number))], last, can_wait)


def _numbers(message: Message) -> list[int]:
    return [int(event.message) for event in message.events if isinstance(event, Refused)]


class Sent(list[Message]):
    """What was sent; tells when there is so much of it."""

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()

    def add(self, message: Message) -> None:
        with self._changed:
            self.append(message)
            self._changed.notify_all()

    def wait_for(self, done: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(done, timeout=20)


@pytest.fixture
def sent() -> Sent:
    return Sent()


def _run(outbox: Outbox) -> None:
    outbox.close()
    outbox.run()


def test_what_cannot_wait_is_sent_as_it_comes(sent: Sent) -> None:
    outbox = Outbox(sent.add)
    thread = threading.Thread(target=outbox.run)
    thread.start()
    try:
        messages = [_message("a", 0), _message("b", 1), _message("a", 2, last=True)]
        for count, message in enumerate(messages, start=1):
            outbox.put(message)
            sent.wait_for(lambda count=count: len(sent) == count)  # type: ignore[misc]
    finally:
        outbox.close()
        thread.join(20)
    assert sent == messages


def test_what_comes_while_another_is_sent_is_joined(sent: Sent) -> None:
    outbox = Outbox(sent.add)
    for message in (
        _message("a", 0),
        _message("b", 1, can_wait=True),
        _message("c", 2, last=True),
        _message("a", 3, last=True),
        _message("b", 4, last=True, can_wait=True),
    ):
        outbox.put(message)
    _run(outbox)
    assert [(one.key, _numbers(one), one.last) for one in sent] == [
        ("a", [0, 3], True),
        ("c", [2], True),
        ("b", [1, 4], True),
    ]


def test_what_has_another_sender_is_not_joined(sent: Sent) -> None:
    """Clients of Triton may use an id twice."""
    outbox = Outbox(sent.add)
    senders = object(), object()
    for number, sender in enumerate(senders):
        outbox.put(replace(_message("a", number, last=True), sender=sender))
    _run(outbox)
    assert [(one.sender, _numbers(one)) for one in sent] == [(senders[0], [0]), (senders[1], [1])]


def test_what_can_wait_is_joined_with_what_follows(sent: Sent) -> None:
    outbox = Outbox(sent.add)
    outbox.put(_message("bulk", 0, can_wait=True))
    outbox.put(_message("chat", 1))
    outbox.put(_message("bulk", 2, can_wait=True))
    outbox.put(_message("bulk", 3, last=True, can_wait=True))
    _run(outbox)
    assert [(one.key, _numbers(one), one.last) for one in sent] == [
        ("chat", [1], False),
        ("bulk", [0, 2, 3], True),
    ]


def test_what_can_wait_does_not_wait_for_ever(sent: Sent) -> None:
    outbox = Outbox(sent.add)
    thread = threading.Thread(target=outbox.run)
    thread.start()
    try:
        outbox.put(_message("bulk", 0, can_wait=True))
        sent.wait_for(lambda: len(sent) == 1)
        outbox.put(_message("bulk", 1, can_wait=True))
        outbox.put(_message("other", 2, can_wait=True))
        sent.wait_for(lambda: len(sent) == 3)
    finally:
        outbox.close()
        thread.join(20)
    assert [_numbers(one) for one in sent] == [[0], [1], [2]]


def test_closing_sends_what_is_held(sent: Sent) -> None:
    outbox = Outbox(sent.add)
    outbox.put(_message("bulk", 0, can_wait=True))
    _run(outbox)
    assert [_numbers(one) for one in sent] == [[0]]
