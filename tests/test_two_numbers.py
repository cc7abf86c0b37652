"""The script that calls outcomes by two numbers, on one configuration of each side and precondition."""

import runpy
from pathlib import Path

import pytest

SCRIPT = runpy.run_path(Path(__file__).parent.parent / "scripts" / "two_numbers.py")


def test_the_configurations_lie_on_both_sides_of_both_preconditions():
    found = SCRIPT["configurations"](False)
    assert len(found) >= 24 and len(set(found)) == len(found)
    numbers = {"none": [], "random_mask": []}
    for experiment in found:
        numbers[experiment.augmentation].append(SCRIPT["predict"](experiment).number)
    for values in numbers.values():
        assert sum(value > 1.15 for value in values) >= 4
        assert sum(value < 0.85 for value in values) >= 4


@pytest.mark.parametrize(
    "changes",
    [
        {"augmentation": "none", "initial_norm": 0.25, "n_steps": 150},
        {"augmentation": "none", "initial_norm": 0.1, "n_steps": 300},
        {"learning_rate": 0.4, "batch_size": 256, "n_steps": 150},
        {"learning_rate": 1.2, "batch_size": 32, "n_steps": 100},
    ],
)
def test_the_two_numbers_call_an_outcome(changes):
    outcome = SCRIPT["evaluate"](SCRIPT["BASE"].replace(**changes), seeds=1)
    assert not outcome.near
    assert outcome.right(outcome.peak) == 1
    assert "1/1" in SCRIPT["row"](outcome)
