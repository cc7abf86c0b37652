"""What the theory predicts, and whether a run bears it out."""

from ..moved import alias_loaded
from .claims.checking import check, check_pair
from .claims.claim import claim
from .claims.verdict import (
    Verdict,
    at_least,
    at_most,
    count_outcomes,
    does_not_apply,
    table,
    within,
)
from .predictions.crossing import Crossing, crossing, limiting_ratio, noise_margin
from .predictions.moments import Split, ViewMoments, mean_diagonal, uniform_attraction, view_moments
from .predictions.plan import Plan, plan
from .predictions.preconditions import Precondition, preconditions, unmet
from .predictions.saturation import saturation_growth
from .predictions.stage_one import (
    StageOne,
    initial_split,
    predict_stage_one,
    sampling_noise,
    stage_one_matrix,
)
from .predictions.suggestion import suggest

# Earlier names.
summary, attraction = count_outcomes, uniform_attraction
alias_loaded()
