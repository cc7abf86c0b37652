"""One update with all its numbers: as arrays, as text, and against central differences."""

from .update import SMALL_WORLD, ExplainedStep, explain_step
