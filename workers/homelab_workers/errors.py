# SPDX-License-Identifier: Apache-2.0
"""What can go wrong with one message, as types that the consumer loop maps to the failure policy.

Stages and adapters raise these and nothing else on purpose; the loop in `runtime` decides
between dead letter, delayed redelivery and exit (docs/contracts.md, "Failure policy").
"""

from __future__ import annotations


class HomelabError(Exception):
    """Base of all errors that this package raises on purpose."""


class Rejected(HomelabError):
    """The input can never succeed: dead letter at once.

    `code` is a stable reason code (`encrypted`, `truncated`, `malformed_event` …), `message`
    names the value and the rule it breaks, `fix` says what the user can do.
    """

    def __init__(self, code: str, message: str, fix: str) -> None:
        super().__init__(f"{message} Fix: {fix}")
        self.code = code
        self.message = message
        self.fix = fix


class TextRefused(Rejected):
    """A model server refuses one text of a batch; `index` is its place in what `embed` was given."""

    def __init__(self, index: int, message: str) -> None:
        super().__init__(
            "text_refused",
            message,
            "check that EMBEDDING_MODEL and TOKENIZER_FILE are those of the served model, or lower CHUNK_SIZE",
        )
        self.index = index


class Crashed(HomelabError):
    """The work on this input died (killed, out of memory, over its time): try again, then give up.

    `code` is the reason code if the attempts run out.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Unavailable(HomelabError):
    """A service that the work needs does not answer; the message stays.

    `target` names it (`models`, `postgres`, `objects`, `graph`, `bus`); `retry_after` (seconds)
    is what the service itself asked for, if it did; `limited` is true for a rate limit (429).
    """

    def __init__(self, target: str, message: str, *, retry_after: float | None = None, limited: bool = False) -> None:
        super().__init__(f"{target}: {message}")
        self.target = target
        self.message = message
        self.retry_after = retry_after
        self.limited = limited


class AuthRefused(HomelabError):
    """A service refused our credentials: retry three times, then exit with an alert."""

    def __init__(self, target: str, message: str) -> None:
        super().__init__(f"{target}: {message}")
        self.target = target
        self.message = message
