"""Relatives of the loss: which of them keep the paper's dichotomy, and where one must lose it.

What T1, T2 and T3 say of InfoNCE is asked of the spectral, the decoupled and the NT-Xent loss. All pull a
neuron along C = E[x⁺⁺x⁺ᵀ] at first, so that RandomMask takes the dense part out of each. Without
augmentation T3 needs norms that saturate before the sparse part overtakes the dense one, g < g*. The
attraction of the decoupled loss never fades: there g passes g* (derived:
featlearn/theory/derivation.md, "Other objectives").
"""

from ..predictions.crossing import crossing
from .applicability import AT_REST, features_not_promised, no_competition, noise_not_promised
from .claim import claim
from .criterion import Criterion, judged
from .representation import few_neurons, t1_criteria, t2_criteria, t3_criteria
from .verdict import at_least

CLAIM = "relatives"
# Biases leave about half of the neurons active, and repulsion takes as much again.
SLOWER = 4
RELATIVES = ("spectral", "decoupled", "nt_xent")


def relative(experiment):
    """Return why a claim about relatives of InfoNCE does not apply to an experiment, or None."""
    if experiment.objective in RELATIVES:
        return None
    return f"the objective is {experiment.objective}"


@claim(CLAIM, relative)
def claim_relatives(observed):
    """Hold another loss of pairs to T1 and T2, or to T3, and the decoupled one to its divergence."""
    exp = observed[0].experiment
    if not observed[0].augmentation.identical_views:
        unmet = features_not_promised(observed)
        few = few_neurons(exp)
        downstream = [c._replace(unmet=few) for c in t2_criteria(exp)]
        return judged(CLAIM, observed, unmet, [*t1_criteria(exp), *downstream])
    if exp.objective == "decoupled":
        return divergence(observed)
    return judged(CLAIM, observed, noise_not_promised(observed), t3_criteria(exp))


def divergence(observed):
    """Judge whether norms grow past g*: the attraction stays 1 where a key is its own anchor."""
    overtakes = crossing(observed[0].experiment)
    last = min(int(o.run.steps[-1]) for o in observed)
    unmet = no_competition(observed[0].experiment)
    if not unmet and last < SLOWER * overtakes.step:
        unmet = f"{last} steps: norms may take {SLOWER * overtakes.step:.0f} to grow by e^g*"
    return judged(
        CLAIM,
        observed,
        unmet,
        [
            Criterion(
                "growth of the norms g over g*",
                "→ ∞",
                at_least,
                1.0,
                lambda o: o.growth / overtakes.growth,
                "nothing makes them rest before the sparse part overtakes: T3's precondition fails",
            ),
            Criterion(
                "ln of their growth over the last tenth of the run",
                "> 0",
                at_least,
                AT_REST,
                lambda o: o.late_growth,
                "from there on norms are not at rest; those of InfoNCE are",
            ),
        ],
    )
