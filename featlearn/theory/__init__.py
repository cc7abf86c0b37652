"""What the theory predicts, and whether a run bears it out."""

from .checking import check, check_pair
from .crossing import Crossing, crossing, limiting_ratio, noise_margin
from .moments import Split, ViewMoments, attraction, mean_diagonal, view_moments
from .plan import Plan, plan, suggest
from .preconditions import Precondition, preconditions, unmet
from .saturation import saturation_growth
from .stage_one import (
    StageOne,
    initial_split,
    predict_stage_one,
    sampling_noise,
    stage_one_matrix,
)
from .verdict import Verdict, at_least, at_most, does_not_apply, summary, table, within
