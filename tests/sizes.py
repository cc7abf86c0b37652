"""The size of statistical tests: reduced, as CI runs them, or full with FEATLEARN_FULL=1."""

import os

FULL = os.environ.get("FEATLEARN_FULL") == "1"
