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

import json
import math

from ..errors import InvalidInput


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
        print(json.dumps({label: _plain(fit) for label, fit in fits.items()}, indent=2))
        return 0
    for label, fit in fits.items():
        title = f"{arguments.quantity} against {arguments.against}" + (
            f", {label}" if label else ""
        )
        means = ", ".join(f"{x:g}: {y:.4g}" for x, y in zip(fit.sizes, fit.means))
        print(f"{title}\n  means         {means}")
        print("\n".join(f"  {line}" for line in str(fit).splitlines()))
    return 0


def _plain(fit):
    values = {name: getattr(fit, name) for name in fit._fields}
    values = {name: v.tolist() if hasattr(v, "tolist") else v for name, v in values.items()}
    values = {n: None if isinstance(v, float) and math.isnan(v) else v for n, v in values.items()}
    return values | {"single": fit.single}
