"""Regenerate every file under figures/: train what is needed, draw, save as PNG and PDF.

Runs are kept under --runs, and tables that other scripts make in the directory of the figures, and
both are used again: a second call only draws, and writes the same bytes.

    python scripts/make_figures.py
    python scripts/make_figures.py --only lottery --only forces
    python scripts/make_figures.py --quick --out /tmp/figures
"""

import argparse
import subprocess
import sys
import time
from functools import cached_property
from pathlib import Path

from featlearn import Experiment, plotting, preset
from featlearn.compute.workers import OwnWorkers
from featlearn.errors import FeatlearnError, InvalidInput
from featlearn.loop import train_or_resume
from featlearn.plotting.gallery import GALLERY
from featlearn.plotting.twins import FIGURES as TWINS
from featlearn.reports.measured import read_rows
from featlearn.reports.progress import Progress, SeveralProgress
from featlearn.reports.reproduction import train_columns, twin_columns
from featlearn.speed.table import read as read_speed
from featlearn.sweeps.results import load_results
from featlearn.theory.predictions.exponents import scaling_panels
from featlearn.theory.predictions.limits import fit_walk, walk_of
from featlearn.theory.predictions.suggestion import suggest_limit

# Small enough to train while one waits; large enough that d1 ≫ d and every neuron has rivals.
STUDY = Experiment(
    n_features=16,
    n_inputs=1024,
    n_neurons=96,
    batch_size=512,
    n_steps=1200,
    learning_rate=0.5,
    weight_decay=0.01,
    temperature=4.0,
    noise_factor=1.0,
    dictionary="flat",
    initial_norm=0.05,
    stage_one_growth=6.0,
    bias_factor=1.0,
    bias_growth=1.003,
    bias_cap=0.55,
)
# b = 0 for ever: the setting of the plateau, at sizes where sampling noise stays in its place.
LINEAR = Experiment(
    n_features=32,
    n_inputs=1024,
    n_neurons=128,
    batch_size=512,
    n_steps=1000,
    learning_rate=0.5,
    weight_decay=0.01,
    temperature=1.0,
    noise_factor=1.0,
    dictionary="flat",
    initial_norm=0.05,
    stage_one_growth=None,
    bias_factor=1.0,
    bias_growth=None,
    bias_cap=0.55,
)
# One of those whose neurons take every atom, as four of the seeds 0-4 do.
LIMIT_SEED = 4
SMALL = dict(n_features=8, n_inputs=128, n_neurons=32, batch_size=128, n_steps=300)


class Runs:
    """The runs that the figures are drawn from, each trained when first asked for."""

    def __init__(self, place, quick=False, quiet=False):
        self._place, self._quick, self._quiet = Path(place), quick, quiet

    def _train(self, name, experiment):
        if self._quick:
            experiment = experiment.replace(**SMALL)
        directory = self._place / name
        progress = Progress(experiment, name, self._quiet)
        return train_or_resume(experiment, directory, progress)

    @cached_property
    def twins(self):
        """The finite pair that `featlearn reproduce` trains."""
        experiment = preset("default")
        if self._quick:
            experiment = experiment.replace(**SMALL, learning_rate=1.0, bias_growth=1.01)
        return self._pair(experiment, self._place)

    @cached_property
    def limit(self):
        """The pair in the large-batch limit that it trains after it, of another seed."""
        experiment = preset("asymptotic").replace(seed=LIMIT_SEED)
        if self._quick:
            experiment = experiment.replace(n_features=8, n_inputs=4096, noise_inputs=None)
            experiment = suggest_limit(experiment)[0].replace(n_steps=60)
        return self._pair(experiment, self._place / "limit")

    @property
    def both(self):
        """Both pairs, with labels that say which."""
        pairs = {"finite d": self.twins, "large-batch limit": self.limit}
        return {
            f"{kind}: {name}": run for kind, pair in pairs.items() for name, run in pair.items()
        }

    def _pair(self, experiment, place):
        columns = twin_columns(experiment)
        progress = SeveralProgress({c.label: c.experiment for c in columns}, self._quiet)
        with OwnWorkers(min(2, OwnWorkers.default())) as own:
            return train_columns(columns, place, own.executors, progress)[0]

    @cached_property
    def study(self):
        """A smaller run with RandomMask, through all stages."""
        return self._train("study", STUDY)

    @cached_property
    def linear(self):
        """A linear network with RandomMask on its plateau."""
        return self._train("linear", LINEAR)


def _from_twins(name):
    return lambda runs: GALLERY[name][0](runs.twins)


# name -> function of `Runs` that returns a Figure
FIGURES = {name: _from_twins(name) for name in GALLERY} | {
    "decoupling": lambda runs: plotting.decoupling(
        plotting.cross_view_correlations(runs.study.experiment)
    ),
    "spectrum-and-plateau": lambda runs: plotting.spectrum_and_plateau(runs.linear),
    "forces": lambda runs: plotting.forces(plotting.record_forces(runs.study.experiment)),
    "neuron-map": lambda runs: plotting.neuron_map(runs.study),
    # At the twins' temperature the mean field's range ends before stage II.
    "competition": lambda runs: GALLERY["competition"][0]({"RandomMask": runs.study}),
    "regimes": lambda runs: plotting.regimes(runs.both),
    "representation": lambda runs: plotting.representation(runs.both),
}
FILM = "neurons"


def _collapse(path):
    table = load_results(path)
    return plotting.limit_collapse(table, fit_walk(*walk_of(table)))


def _from_rows(name):
    return "twins.py", "twins.csv", lambda path: TWINS[name][1](read_rows(path))


# name -> (script, table that it writes into --out, function of that file that returns a Figure)
TABLES = {
    "phase_diagram": (
        "phase_diagram.py",
        "phase_diagram.csv",
        lambda path: plotting.decoupling_diagram(load_results(path)),
    ),
    "finite-scaling": (
        "finite_scaling.py",
        "finite-scaling.csv",
        lambda path: plotting.scaling_fits(scaling_panels(load_results(path))),
    ),
    "speed": ("benchmark.py", "speed.csv", lambda path: plotting.speed(read_speed(path))),
    "scaling": ("scaling.py", "scaling.csv", _collapse),
    **{name: _from_rows(name) for name in TWINS},
}


def from_table(name, out, quick):
    """Draw the figure of a table, which its script makes if it is not there yet."""
    script, table, draw = TABLES[name]
    path = out / table
    if not path.exists():
        words = [sys.executable, Path(__file__).with_name(script), "--out", out]
        subprocess.run([*map(str, words), *(["--quick"] if quick else [])], check=True, stdout=2)
    return draw(path)


def make(names, out, runs, quick=False):
    """Draw figures into a directory and yield (name, files, seconds)."""
    for name in names:
        started = time.monotonic()
        if name == FILM:
            files = [out / f"{FILM}.gif"]
            plotting.animate(runs.study, files[0], n_frames=60)
        elif name in TABLES:
            files = plotting.save(from_table(name, out, quick), out / name)
        else:
            files = plotting.save(FIGURES[name](runs), out / name)
        yield name, files, time.monotonic() - started


def main(argv=None):
    """Run the script and return its exit code."""
    known = [*FIGURES, FILM, *TABLES]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", metavar="NAME", help="one figure; repeatable")
    parser.add_argument("--quick", action="store_true", help="tiny runs: seconds, not minutes")
    parser.add_argument("--out", help="directory (figures; with --quick, figures-quick)")
    parser.add_argument("--runs", help="where runs are kept (runs/figures; runs/figures-quick)")
    parser.add_argument("--quiet", action="store_true", help="no progress")
    arguments = parser.parse_args(argv)
    suffix = "-quick" if arguments.quick else ""
    out = Path(arguments.out or f"figures{suffix}")
    runs = Runs(arguments.runs or f"runs/figures{suffix}", arguments.quick, arguments.quiet)
    names = arguments.only or known
    try:
        for name in names:
            if name not in known:
                raise InvalidInput("--only", name, "one of " + ", ".join(known))
        for name, files, seconds in make(names, out, runs, arguments.quick):
            for file in files:
                print(file)
            if not arguments.quiet:
                print(f"{name}: {seconds:.1f} s", file=sys.stderr)
    except FeatlearnError as error:
        print(f"make_figures: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
