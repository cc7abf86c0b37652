"""Measure how fast featlearn trains: against the work no step can avoid, and against torch and JAX.

The reference is five matrix products of the step's sizes, and its normals drawn on all threads. Every
subject runs in a process of its own, a new one every two rounds; bursts of steps take turns,
A B C C B A …, and a ratio is the median over rounds of the ratio within a round. featlearn's step is
the whole one: data, gradient, update, bias schedule, and every quantity measured and written to a
run directory at every step; the others record nothing. Seeds of a small network are timed one by one and
together, as sweeps train them, beside JAX's vmap. torch and JAX take part where they are
installed: python -m pip install ".[peers]".

examples:
  python scripts/benchmark.py --quick
  python scripts/benchmark.py --only times --sizes 64/1024/256/512 --rounds 20
  python scripts/benchmark.py --figure
"""

import argparse
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from featlearn import Experiment
from featlearn.compute.threads import thread_count
from featlearn.errors import InvalidInput
from featlearn.speed import growth, memory, peers, sparse, table
from featlearn.speed.subjects import Together, flops, recording_cost
from featlearn.speed.timing import Statistic, alone, time_in_turn

SIZES = ("64/1024/256/512", "32/1024/192/512", "128/4096/512/512")
GOALS = {
    "reference": 1.15,
    "many inputs": 1.05,
    "gram reference": 1.25,
    "seeds": 1.2,
    "vmap": 1.0,
    "torch": 0.75,
    "jax": 0.85,
    "recording": 5.0,
    "memory": 1.3,
    "float32": 1e-5,
    "float64": 1e-12,
}
FACTORS = (0.5, 1, 2, 4)
DENSITIES = (0.05, 0.1, 0.15)


def experiment_of(size, **changes):
    """Return the experiment of a size "d/d1/m/B"."""
    try:
        d, d1, m, B = map(int, size.split("/"))
    except ValueError:
        raise InvalidInput("--sizes", size, "d/d1/m/B, four whole numbers") from None
    sizes = dict(n_features=d, n_inputs=d1, n_neurons=m, batch_size=B)
    return Experiment(**sizes, **changes)


class Bench:
    """What all sections share: how long to measure, and where to write.

    Attributes
    ----------
    rows : list of Row
        Measured so far.
    """

    def __init__(self, place, threads, rounds, seconds):
        self.place, self.threads, self.rounds, self.seconds = place, threads, rounds, seconds
        self.rows = []
        self._directories = 0

    def directory(self):
        """Return a new empty directory."""
        self._directories += 1
        directory = self.place / str(self._directories)
        directory.mkdir()
        return directory

    def time_in_turn(self, entries, threads, rounds=None):
        return time_in_turn(entries, self.directory(), threads, self.seconds, rounds or self.rounds)

    def add(self, section, size, threads, name, value, unit, goal=None):
        """Add a row, of a number or a Statistic, and print it."""
        statistic = value if isinstance(value, Statistic) else Statistic(value, value, value)
        row = table.Row(section, size, threads, name, *map(float, statistic), unit, goal)
        self.rows.append(row)
        print(table.line(row), flush=True)

    def heading(self, text, threads):
        print(f"\n{text}, {threads} thread{'s' if threads > 1 else ''}", flush=True)


def times(bench, size, threads):
    """Whole steps, their ratios, and their parts."""
    experiment = experiment_of(size)
    names = ["reference", "featlearn", "featlearn, not recording", *peers.installed()]
    bench.heading(f"A step at {size}", threads)
    measured, parts = bench.time_in_turn({name: (name, experiment) for name in names}, threads)
    for name, seconds in measured.items():
        bench.add("time", size, threads, name, Statistic.of(1e3 * seconds), "ms")
    whole = measured["featlearn"]
    for name in ("reference", *peers.installed()):
        ratio = Statistic.of(whole / measured[name])
        bench.add("ratio", size, threads, f"featlearn / {name}", ratio, "", GOALS[name])
    place = bench.directory() / "run"
    cost = alone(recording_cost, experiment, place, bench.rounds, threads=threads)
    cost = Statistic.of(100 * cost)
    bench.add("ratio", size, threads, "cost of recording", cost, "%", GOALS["recording"])
    for name, shares in parts.items():
        for part, statistic in shares.items():
            milliseconds = Statistic(*(1e3 * seconds for seconds in statistic))
            bench.add("part", size, threads, f"{name}: {part}", milliseconds, "ms")


def gradients(bench, size):
    """How far the peers' gradients are from featlearn's."""
    if not peers.installed():
        return
    bench.heading(f"Gradient at {size}, max |difference| / max |entry|", bench.threads)
    for name in peers.installed():
        for dtype in ("float32", "float64"):
            experiment = experiment_of(size, dtype=dtype)
            error = alone(peers.gradient_error, name, experiment, threads=bench.threads)
            bench.add("gradient", size, bench.threads, f"{name}, {dtype}", error, "", GOALS[dtype])


def footprints(bench, size, threads):
    """Peak memory, and what a step allocates."""
    bench.heading(f"Memory at {size}", threads)
    found = alone(memory.footprint, experiment_of(size), bench.directory(), threads=threads)
    add = partial(bench.add, "memory", size, threads)
    add("needed: x, x⁺, x⁺⁺, W, B × B", found.needed / 2**20, "MiB")
    add("peak resident, above the idle process", found.resident / 2**20, "MiB")
    add("peak of all arrays", found.arrays / 2**20, "MiB")
    add("peak of all arrays / needed", found.arrays / found.needed, "", GOALS["memory"])
    add("peak resident / needed", found.resident / found.needed, "", GOALS["memory"])
    add("largest transient of a step", found.transient / 2**10, "KiB", found.smallest / 2**10)
    add("the same with recording", found.recording / 2**10, "KiB", found.smallest / 2**10)


def growths(bench, size, factors=FACTORS):
    """Time and memory as one size grows, and their exponents beside that of the flop count."""
    base, threads = experiment_of(size), bench.threads
    for symbol in growth.FIELDS:
        bench.heading(f"Growth with {symbol} from {size}", threads)
        ladder = growth.ladder(base, symbol, factors)
        entries = {str(value): ("featlearn", exp) for value, exp in ladder.items()}
        measured, _ = bench.time_in_turn(entries, threads, max(bench.rounds // 2, 2))
        resident = []
        for value, experiment in ladder.items():
            statistic = Statistic.of(1e3 * measured[str(value)])
            bench.add("growth", size, threads, f"{symbol} = {value}", statistic, "ms")
            found = alone(memory.footprint, experiment, bench.directory(), threads=threads)
            resident.append(found.resident)
        values = list(ladder)
        counted = {
            "time": [measured[str(value)].min() for value in values],
            "floating-point operations": [flops(exp) for exp in ladder.values()],
            "memory": resident,
            "needed memory": [memory.needed_bytes(exp) for exp in ladder.values()],
        }
        for name, numbers in counted.items():
            power = growth.exponent(values, numbers)
            bench.add("exponent", size, threads, f"{name} in {symbol}", power, "")


def sparsity(bench, size, densities=DENSITIES):
    """Products with mostly zeros: dense, sparse and gathered."""
    for density in densities:
        bench.heading(f"Products at {size} with {density:.0%} of the units active", bench.threads)
        measured = alone(
            sparse.products, experiment_of(size), density, 5 * bench.rounds, threads=bench.threads
        )
        for name, seconds in measured.items():
            label = f"{density:.0%} active: {name}"
            bench.add("sparse", size, bench.threads, label, Statistic.of(1e3 * seconds), "ms")


def reduced(bench, size, rounds=3):
    """The model of infinitely many inputs: identity dictionary, independent noise in the views."""
    # At this size a recorded step is 34 MB: a run is announced as no longer than what is measured.
    experiment = experiment_of(
        size, augmentation="correlated_noise", dictionary="identity", n_steps=30
    )
    bench.heading(f"The reduced model at {size}", bench.threads)
    entries = {
        "reference": ("reference", experiment),
        "step": ("featlearn", experiment),
        "step, not recording": ("featlearn, not recording", experiment),
    }
    measured, parts = bench.time_in_turn(entries, bench.threads, rounds)
    add = partial(bench.add, "reduced", size, bench.threads)
    for name, seconds in measured.items():
        add(name, Statistic.of(1e3 * seconds), "ms")
    for part, statistic in parts["step"].items():
        add(f"step: {part}", Statistic(*(1e3 * seconds for seconds in statistic)), "ms")
    found = alone(memory.footprint, experiment, bench.directory(), threads=bench.threads)
    add("peak resident, above the idle process", found.resident / 2**20, "MiB")
    add("needed: x, x⁺, x⁺⁺, W, B × B", found.needed / 2**20, "MiB")


def gram(bench, size, explicit, inputs=(10**4, 10**9)):
    """The dense part by its Gram matrix: no cost of d1, against its reference and against explicit steps."""
    # One thread: small factorisations do not gain from more.
    base, threads = experiment_of(size), 1
    bench.heading(f"The dense part by its Gram matrix at {size}", threads)
    # A margin far above 1 would make the norms diverge while they are timed.
    steps = dict(learning_rate=1e-3, dense="gram")
    few, many = (base.replace(n_inputs=d1, **steps) for d1 in inputs)
    entries = {
        "reference": ("reference", few),
        f"d1 = {inputs[0]:.0e}": ("featlearn, not recording", few),
        f"d1 = {inputs[1]:.0e}": ("featlearn, not recording", many),
    }
    for d1 in explicit:
        # Explicit steps at the same sizes but d1.
        entries[f"explicit, d1 = {d1}"] = ("featlearn, not recording", base.replace(n_inputs=d1))
    measured, _ = bench.time_in_turn(entries, threads)
    add = partial(bench.add, "gram", size, threads)
    for name, seconds in measured.items():
        add(name, Statistic.of(1e3 * seconds), "ms")
    reference, first, second, *others = measured.values()
    add("many inputs / few", Statistic.of(second / first), "", GOALS["many inputs"])
    add("step / reference", Statistic.of(first / reference), "", GOALS["gram reference"])
    for d1, seconds in zip(explicit, others):
        add(f"explicit at {d1} / Gram", Statistic.of(seconds / second), "")


def seeds(bench, size):
    """Small networks: seeds one by one and together, in one thread each as in a sweep."""
    experiment, threads = experiment_of(size), 1
    bench.heading(f"A step of a run at {size}, several seeds", threads)
    names = ["reference", "featlearn", "together"]
    peer = ["jax, vmap"] if "jax" in peers.installed() else []
    measured, _ = bench.time_in_turn({n: (n, experiment) for n in (*names, *peer)}, threads)
    add = partial(bench.add, "seeds", size, threads)
    for name, seconds in measured.items():
        add(name, Statistic.of(1e3 * seconds), "ms")
    together = measured["together"]
    for name, goal in [("reference", "seeds"), ("featlearn", None), *((p, "vmap") for p in peer)]:
        add(f"together / {name}", Statistic.of(together / measured[name]), "", GOALS.get(goal))
    place = bench.directory() / "runs"
    place.mkdir()
    # Rows are written once in some tens of steps.
    cost = alone(recording_cost, experiment, place, bench.rounds, 200, Together, threads=threads)
    add("cost of recording", Statistic.of(100 * cost), "%", GOALS["recording"])


SECTIONS = ("times", "gradients", "memory", "growth", "sparse", "reduced", "gram", "seeds")
SMALL = "8/256/32/128"


EXPLICIT = (1024, 4096, 16384)


def run(bench, sizes, only, reduced_size, factors=FACTORS, densities=DENSITIES, explicit=EXPLICIT):
    """Run the chosen sections."""
    thread_counts = sorted({bench.threads, 1}, reverse=True)
    if "times" in only:
        for threads in thread_counts:
            for size in sizes:
                times(bench, size, threads)
    if "gradients" in only:
        gradients(bench, sizes[0])
    if "memory" in only:
        for threads in thread_counts:
            for size in sizes:
                footprints(bench, size, threads)
    if "sparse" in only:
        sparsity(bench, sizes[0], densities)
    if "growth" in only:
        growths(bench, sizes[0], factors)
    if "reduced" in only:
        reduced(bench, reduced_size)
    if "gram" in only:
        gram(bench, sizes[min(1, len(sizes) - 1)], explicit)
    if "seeds" in only:
        seeds(bench, SMALL)


def parser():
    """Return the parser of this script's arguments."""
    first, _, rest = __doc__.partition("\n")
    made = argparse.ArgumentParser(
        description=first, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="small sizes, in about a minute")
    made.add_argument("--sizes", nargs="+", metavar="d/d1/m/B", help=" ".join(SIZES))
    made.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS, metavar="SECTION",
                      help="among " + ", ".join(SECTIONS))  # fmt: skip
    made.add_argument("--rounds", type=int, help="bursts of each subject (12)")
    made.add_argument("--out", type=Path, default="figures", help="where speed.csv goes (figures)")
    made.add_argument("--figure", action="store_true", help="also write speed.png and speed.pdf")
    return made


def main(argv=None):
    """Run the benchmark and return the exit code; a goal that is missed is no error."""
    arguments = parser().parse_args(argv)
    try:
        sizes = arguments.sizes or (["16/256/64/128"] if arguments.quick else SIZES)
        for size in sizes:
            experiment_of(size)
        if arguments.rounds is not None and arguments.rounds < 2:
            raise InvalidInput("--rounds", arguments.rounds, "at least 2")
        rounds = arguments.rounds or (3 if arguments.quick else 12)
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as place:
            seconds = 0.05 if arguments.quick else 0.5
            bench = Bench(Path(place), thread_count(), rounds, seconds)
            if arguments.quick:
                run(bench, sizes, arguments.only, "128/128/512/128", (1, 2), (0.1,), (256,))
            else:
                run(bench, sizes, arguments.only, "1024/1024/8192/512")
    except InvalidInput as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 2
    print("", *table.verdict(bench.rows), sep="\n")
    table.write(arguments.out / "speed.csv", bench.rows)
    written = [arguments.out / "speed.csv"]
    if arguments.figure:
        from featlearn.plotting import save, speed

        written += save(speed(bench.rows), arguments.out / "speed")
    took = time.monotonic() - started
    print(f"wrote {', '.join(map(str, written))} in {took:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
