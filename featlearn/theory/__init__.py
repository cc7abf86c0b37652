"""What the theory predicts, and whether a run bears it out."""

from .checking import check, check_pair
from .moments import Split, ViewMoments, attraction, mean_diagonal, view_moments
from .stage_one import (
    StageOne,
    initial_split,
    predict_stage_one,
    sampling_noise,
    stage_one_matrix,
)
from .verdict import Verdict, at_least, at_most, does_not_apply, summary, table, within
