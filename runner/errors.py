"""Every error an owner may meet, in one tree: each says what, what was got, and what to do."""


class RunnerError(Exception):
    """Something the owner should know, in a sentence of its own."""

    exit_code = 1  #: of the command that meets it

    def __init__(self, message: str = "") -> None:
        super().__init__(message or " ".join((self.__doc__ or "").split()))


class DeclarationError(RunnerError, TypeError):
    """A task or a draft kind is declared in a way that can't be meant."""


class MarkdownError(DeclarationError):
    """A Markdown task says what can't be meant."""

    def __init__(self, message: str = "", *, file: str | None = None, line: int | None = None) -> None:
        super().__init__(message)
        self.file = file  #: whole path; None: whoever reads the file knows it
        self.line = line


class TriggerError(DeclarationError, ValueError):
    """A schedule that no clock could keep."""


class SettingsError(RunnerError):
    """A setting is missing or can't be read."""

    exit_code = 2


class CatalogError(RunnerError):
    """A module in tasks/ can't be used."""


class StoreError(RunnerError):
    """The store can't be opened or written."""


class JournalError(RunnerError):
    """The journal can't be written: nothing may happen that is not on record."""


class AlreadyRunningError(RunnerError):
    """Another runner holds this project."""


class StoppedError(RunnerError):
    """Refused because the runner is stopped."""

    exit_code = 3


class GoneError(RunnerError):
    """There is no such thing, or it is no longer so."""

    exit_code = 4


class DecisionError(GoneError):
    """The draft can't be decided that way now."""


class DraftError(RunnerError):
    """What a task returned is no draft of its kind."""


class RunError(RunnerError):
    """A run did not come to its end."""


class ChildLostError(RunError):
    """The process that children are forked from ended, and they with it; or it never came to be ready."""

    def __init__(self, message: str = "the process that tasks come from ended") -> None:
        super().__init__(message)


class ClaudeError(RunError):
    """Claude gave no whole answer."""

    #: whether trying the run again may help
    is_transient = False


class TransientClaudeError(ClaudeError):
    """Claude could not be reached or broke off; the same question may be answered later."""

    is_transient = True


class BatchLostError(ClaudeError):
    """Whether Claude's API took a batch can't be told."""


class BatchGoneError(ClaudeError):
    """Claude's API knows of no such batch."""


class ParkedError(RunnerError):
    """The run waits for a batch; it goes on when that has ended."""


class BudgetError(ClaudeError):
    """A budget doesn't allow this call."""

    def __init__(self, message: str = "", *, pauses: bool = False) -> None:
        super().__init__(message)
        self.pauses = pauses  #: the task's own budget, or its label's, is used up: it is to pause


class FetchError(RunError):
    """A page was not fetched."""


class NotDelivered(RunnerError):  # noqa: N818 - what a kind raises: a claim, not a mishap
    """The destination certainly did not take the draft; it goes back to pending with this reason."""
