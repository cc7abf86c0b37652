"""What starting loads: nothing large that the task at hand does without."""

import subprocess
import sys

import pytest

MODEL = "from featlearn import Experiment, init; init(Experiment(n_features=64, n_inputs={}))"


def loaded_by(code):
    """Return which of the large packages are loaded once the code has run in a fresh interpreter."""
    code += "; import sys; print(*{'scipy.sparse', 'scipy.stats', 'matplotlib'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "code",
    (
        "import featlearn",
        "from featlearn.commands import build_parser; build_parser()",
        MODEL.format(1024),
    ),
)
def test_starting_loads_no_large_package(code):
    assert loaded_by(code) == set()


def test_sparse_products_are_loaded_with_the_model_that_needs_them():
    """Not by its first step: every process of a group would load them for itself."""
    assert loaded_by(MODEL.format(2048)) == {"scipy.sparse"}
