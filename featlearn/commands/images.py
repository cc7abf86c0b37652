"""The decoupling principle on real images: photographs, digits, or your own.

Splits patches into low frequencies (dense) and ICA's edges (sparse), trains the same network while two
views share more and more of the low frequencies, adds controls and the augmentations usual for images,
and judges what was learned. Prints tables and verdicts, writes figures; the exit code is 1 if a verdict
fails.

examples:
  featlearn images
  featlearn images --quick
  featlearn images --from holiday.jpg --seed 1
  featlearn images --from patches.npy --layout rows

With scikit-learn (pip install scikit-learn) it takes two photographs and labelled digits that
scikit-learn brings; without, a photograph that matplotlib brings.
"""

import math
from concurrent.futures import BrokenExecutor
from pathlib import Path

from ..compute.workers import OwnWorkers
from ..errors import FeatlearnError, RunDirectoryError
from ..parts import describe
from ..recording.files import read_json, require_place, write_json
from ..rules import require
from .common import message, whole_number


def add_arguments(parser):
    """Add this command's arguments."""
    parser.add_argument(
        "--from", dest="files", nargs="+", metavar="FILE",
        help="your own: a .npy file of shape (n, d1), (n, H, W) or (H, W), or image files",
    )  # fmt: skip
    add_splitting_arguments(parser)
    parser.add_argument("--seed", type=whole_number, default=0, help="of patches, ICA and training")
    parser.add_argument(
        "--out", metavar="DIR",
        help="where runs and figures go (images/NAME-SEED); 0.3 GB, with --quick 0.08 GB",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true",
        help="half a minute: fewer and shorter runs, without random light, a linear network, crops and"
        " the like, and without digits trained three times as long",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no messages")


def add_splitting_arguments(parser):
    """Add --layout, --dense and --sparse: how images are read and split."""
    parser.add_argument(
        "--layout", choices=("rows", "image", "stack"),
        help="what the array of a .npy file is, where its shape could be either",
    )  # fmt: skip
    parser.add_argument("--dense", type=whole_number, metavar="K",
                        help="leading principal components that are the dense part (20)")  # fmt: skip
    parser.add_argument("--sparse", type=whole_number, metavar="K",
                        help="components that follow, the sparse part (54)")  # fmt: skip


def model_from(arguments, files, seed):
    """Return the `ImageModel` that the arguments of `add_splitting_arguments` describe; tell of it."""
    from ..images.model import N_DENSE, N_SPARSE, SEED
    from ..images.sources import image_model

    asked = {"n_dense": ("dense", N_DENSE), "n_sparse": ("sparse", N_SPARSE)}
    counts = {
        name: require(f"--{word}", getattr(arguments, word), rule)
        for name, (word, rule) in asked.items()
        if getattr(arguments, word) is not None
    }
    seed = require("--seed", seed, SEED)
    return image_model(
        files,
        arguments.layout,
        seed=seed,
        say=lambda line: message(line, arguments.quiet),
        **counts,
    )


def main(arguments):
    """Run it."""
    # Reading and splitting images needs parts of scipy that the other commands do without.
    from ..images.sources import EXTRA, has_extra

    margins = "photographs" if not arguments.files and has_extra() else "own"
    shown = Path(arguments.files[0]).stem if arguments.files else margins
    name = f"{shown}-{arguments.seed}{'-quick' * arguments.quick}"
    out = Path(arguments.out or f"images/{name}")
    require_place(out)
    model = model_from(arguments, arguments.files, arguments.seed)
    if not arguments.files and not has_extra():
        message(f"scikit-learn is not installed ({EXTRA}): one photograph instead of two, and no"
                " digits", arguments.quiet)  # fmt: skip
    message(f"training into {out}", arguments.quiet)
    workers = OwnWorkers(OwnWorkers.default())
    try:
        with workers:
            return _images(model, margins, out, workers.executors, arguments)
    except KeyboardInterrupt:
        message("\nthe same command continues", arguments.quiet)
        raise
    except BrokenExecutor:
        raise FeatlearnError(
            "images: one of its processes was killed; the same command continues"
        ) from None


def _images(model, margins, out, executors, arguments):
    from ..images import sources
    from ..images.digits import digits, label_curve
    from ..reports import image_tables as tables
    from ..reports import images as report
    from ..theory.claims.images import digit_verdicts, image_verdicts
    from ..theory.claims.verdict import FAILS, count_outcomes, table

    pace, seed = report.QUICK if arguments.quick else report.Pace(), arguments.seed
    experiment = report.photograph_experiment(model, seed, pace)
    longer = pace.speed / pace.bounded(model).speed
    if longer >= 1.1:
        message(f"light of {report.strongest_dense(model):.0f} times the variance of edges: runs take"
                f" {longer:.1f} times as many steps", arguments.quiet)  # fmt: skip
    plans = report.photograph_runs(model, arguments.quick)
    take_directory(out, arguments.files or [margins], model, experiment)
    # Before any training: what each augmentation leaves to be learned.
    print(tables.prediction_table(model, plans, experiment), flush=True)
    jobs = report.photograph_jobs(plans, model, seed, pace, out / "photographs")
    on_digits = {}
    if arguments.files is None and sources.has_extra():
        data = digits(model, seed)
        on_digits = report.digit_jobs(data, seed, pace, out / "digits")
    futures = report.submit(jobs | on_digits, executors)
    for name, future in futures.items():
        future.result()
        message(f"done: {name}", arguments.quiet)
    learned = {plan.name: futures[plan.name].result() for plan in plans}
    print("\n" + tables.learned_table(learned.values()))
    star, rows = futures["crossover"].result()
    scan = (star, *(report.half_way(rows, which) for which in (1, 2)))
    own = {"kurtosis": model.kurtosis} if margins == "own" else {}
    verdicts = image_verdicts(learned, scan, margins, **own)
    curves = {name.removeprefix("digits: "): futures[name].result() for name in on_digits}
    if curves:
        curves["raw"] = label_curve(data, lambda inputs: inputs, seed)
        print("\n" + tables.curves_table(curves))
        verdicts += digit_verdicts(curves)
    print(f"\n{table(verdicts)}\n\n{count_outcomes(verdicts)}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    found = {"verdicts": [v.to_dict() for v in verdicts], "accuracy": curves,
             "learned": [vars(run) for run in learned.values()], "crossover": scan}  # fmt: skip
    write_json(out / "images.json", plain(found))
    for path in _draw(model, learned, curves, out):
        message(f"wrote {path}", arguments.quiet)
    return int(any(v.outcome == FAILS for v in verdicts))


def take_directory(out, names, model, experiment):
    """Note in a directory what its runs are of; refuse one that is taken by others.

    Parameters
    ----------
    out : path
    names : sequence of str
        Where the images come from.
    model : ImageModel
    experiment : Experiment
    """
    path = Path(out) / "source.json"
    mine = {"images": describe(model)["digest"], "experiment": experiment.identity()}
    if path.exists():
        found = read_json(path)
        if {name: found.get(name) for name in mine} != mine:
            earlier = found.get("from")
            raise RunDirectoryError(
                f"{out}: holds runs of other images, or with other settings, made from {earlier};"
                " name a directory for these: --out DIR"
            )
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"from": ", ".join(map(str, names)), **mine})


def _draw(model, learned, curves, out):
    """Draw the figures into out/figures, and yield their paths."""
    from ..plotting import images as plotting
    from ..plotting.canvas import save
    from ..recording.rundir import load_run

    figures = {"dial": plotting.dial(learned), "plane": plotting.plane(learned)}
    if curves:
        figures["label-curves"] = plotting.label_curves(curves)
    if model.windows.ndim == 3:
        weights = {learned[name].label: load_run(out / "photographs" / name).weights
                   for name in ("hybrid-0", "none")}  # fmt: skip
        figures["filters"] = plotting.filters(weights, model.dictionary)
        figures["images"] = plotting.decoupled_images(weights, model.dictionary, learned)
    for name, figure in figures.items():
        yield from save(figure, out / "figures" / name)


def plain(value):
    """Return nested dictionaries and lists with None for numbers that JSON cannot hold."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
