"""Objectives: what is minimised. Each knows its loss, its pulls on features and its own parameters."""

from .builtin import OBJECTIVES, make_objective
from .objective import Objective, PairwiseObjective
from .pull import Pull
