"""Fit how a quantity of a sweep depends on a field, as a power of it.

examples:
  featlearn sweep --preset tiny --grid n_features=8,16,32 --grid seed=0..2 \\
      --link "n_inputs=32*n_features" --out sweeps/sizes
  featlearn fit sweeps/sizes --quantity regression_features --against n_features

The quantity is a column of results.csv, or a number that the runs recorded, at its last row. The error
is the larger of what the scatter over seeds and the residuals of the line make of it. Where the
residuals are larger than the scatter explains, with a probability below 1 %, no single power fits.
The exit code is 0 whatever the exponent.
"""

from ..display import wrapped
from ..errors import InvalidInput
from ..values import json_text


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument("sweep", metavar="SWEEP", help="directory of a sweep")
    parser.add_argument("--quantity", metavar="NAME", required=True, help="what to fit")
    parser.add_argument("--against", metavar="FIELD", default="n_features", help="(n_features)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")


def main(arguments):
    """Run it."""
    from ..sweeps.power_law import fit_sweep

    fits = fit_sweep(arguments.sweep, arguments.quantity, arguments.against)
    if not fits:
        raise InvalidInput("sweep", arguments.sweep, "complete runs at two values of the field")
    if arguments.json:
        print(json_text({n: {**fit._asdict(), "single": fit.single} for n, fit in fits.items()}))
        return 0
    for label, fit in fits.items():
        title = f"{arguments.quantity} against {arguments.against}" + (
            f", {label}" if label else ""
        )
        means = ", ".join(f"{x:g}: {y:.4g}" for x, y in zip(fit.sizes, fit.means))
        lines = [f"means         {means}", *str(fit).splitlines()]
        print(title, *(part for line in lines for part in wrapped(f"  {line}")), sep="\n")
    return 0
