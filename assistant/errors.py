"""Errors that a person can act on. Every surface shows `str(error)` as it is.

* AssistantError        it could not be done (exit 1, or a 4xx or 503)
  - CorpusError         the documents cannot be used
  - IndexUnusable       no snapshot yet, a damaged one, or a build that failed its own checks
  - ModelUnavailable    a model that is configured cannot be loaded or reached
  - Busy                as many questions as allowed are being answered
  - UsageError          wrong usage or configuration, found before any question is asked (exit 2)
"""


class AssistantError(Exception):
    """Something that could not be done; the message says what happened and what to do next."""


class CorpusError(AssistantError):
    """The corpus folder cannot be used."""


class IndexUnusable(AssistantError):
    """There is no snapshot to answer from, or it is damaged."""


class ModelUnavailable(AssistantError):
    """The embedding model or the chat model cannot be loaded or reached."""


class Busy(AssistantError):
    """As many questions as the server allows are being answered already."""


class UsageError(AssistantError):
    """A flag, a setting or a question that is wrong whatever the documents hold."""
