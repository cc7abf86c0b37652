"""The errors a user meets, each a single line that says what to change.

Each can be sent from a worker process, which is what `__reduce__` is for.
"""

import sys


class FeatlearnError(Exception):
    """Base of every error that featlearn raises on purpose; its message is one line."""

    def __str__(self):
        text = super().__str__()
        # A file's name may hold anything.
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class InvalidInput(FeatlearnError, ValueError):
    """A value outside what its field allows.

    Parameters
    ----------
    field : str
        What was set, by the name a user knows.
    value : object
        What it was set to.
    wanted : str
        What is allowed.
    """

    def __init__(self, field: str, value: object, wanted: str) -> None:
        self.field, self.value, self.wanted = field, value, wanted
        try:
            shown = repr(value)
        except ValueError:  # Python refuses to print a number of thousands of digits
            shown = "a number of thousands of digits"
        if len(shown) > 80:
            # A path is told by its end.
            shown = f"{shown[:38]}...{shown[-39:]}"
        super().__init__(" ".join(f"{field}: got {shown}, wants {wanted}".split()))

    def within(self, place: object) -> "InvalidInput":
        """Return the error with the place of the field before its name.

        Parameters
        ----------
        place : object
            A file, as a rule.
        """
        return type(self)(f"{place}: {self.field}", self.value, self.wanted)

    def __reduce__(self):
        return type(self), (self.field, self.value, self.wanted)


class RunDirectoryError(FeatlearnError):
    """A run directory that cannot be written, read, or trusted."""


class ProcessLost(FeatlearnError):
    """A process that shared the work of a run has ended; the run can be resumed."""


class WriteFailed(FeatlearnError):
    """A full or vanished disk in the middle of a run; what was recorded stays, to be resumed."""


class TrainingDiverged(FeatlearnError):
    """Training met a quantity that is not finite.

    Parameters
    ----------
    step : int
        The step whose update failed; everything recorded before it is finite.
    quantity : str
        The first quantity, in the order of computation, that was not finite.
    hint : str
        What usually causes it.
    """

    def __init__(self, step: int, quantity: str, hint: str) -> None:
        self.step, self.quantity, self.hint = step, quantity, hint
        super().__init__(f"training diverged at step {step}: {quantity} is not finite; {hint}")

    def __reduce__(self):
        return type(self), (self.step, self.quantity, self.hint)


def exit_code(main, name):
    """Return what a script's main returns; errors are said in one line, with the command's exit codes.

    Parameters
    ----------
    main : callable
    name : str
        Of the script.
    """
    try:
        return main()
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return 130
    except FeatlearnError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
