"""Whether recorded runs bear the theory out.

Every claim is a function of `observed`, a list of `Observed`: runs of one experiment, of different seeds.
It returns a list of `Verdict`, and is marked with its name by `featlearn.claim`.
"""
