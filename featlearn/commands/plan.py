"""Predict stages, preconditions, run time, memory and disk of an experiment before it runs.

examples:
  featlearn plan --preset default
  featlearn plan --set n_features=64 --set n_inputs=4096 --suggest
  featlearn plan --set n_features=64 --set n_inputs=1000000 --suggest --limit
  featlearn plan --config experiment.toml --suggest --json
  featlearn plan --images holiday.jpg

The run time is that of a few steps, timed now. Warnings say where an experiment lies outside the
preconditions of the theory. A suggestion changes batch size, learning rate and number of steps only, and
says which precondition these cannot meet; with --limit it is a whole recipe for the experiment's d and d1
in the large-batch limit.
"""

import dataclasses
import math

from ..display import text_table, wrapped
from ..errors import InvalidInput
from ..loop import with_layouts
from ..recording.record import asked_quantities
from ..recording.resources import disk_needed, memory_needed
from ..training import init
from ..values import json_text
from ..views import augmentation_of
from .common import add_experiment_arguments, experiment_from, message, seed_from
from .images import add_splitting_arguments, model_from
from .own import add_record_argument, record_from

SUGGESTED = ("batch_size", "learning_rate", "n_steps")


def add_arguments(parser):
    """Add this command's arguments."""
    add_experiment_arguments(parser, "default")
    parser.add_argument(
        "--suggest", action="store_true", help="a batch size and learning rate that satisfy both"
    )
    parser.add_argument(
        "--images", nargs="*", metavar="FILE",
        help="of the runs of 'featlearn images': what each augmentation decouples, and stage I",
    )  # fmt: skip
    add_splitting_arguments(parser)
    add_record_argument(parser)
    parser.add_argument(
        "--limit", action="store_true", help="suggest settings in the large-batch limit"
    )
    parser.add_argument("--no-timing", action="store_true", help="do not time a few steps")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--quiet", action="store_true", help="no messages")


def main(arguments):
    """Run it."""
    if arguments.images is not None:
        return _images(arguments)
    for name in ("layout", "dense", "sparse"):
        if getattr(arguments, name) is not None:
            raise InvalidInput(f"--{name}", getattr(arguments, name), "--images beside it")
    # The theory takes a while to import, which the other commands need not wait for.
    from ..theory.predictions.plan import plan, seconds_per_step
    from ..theory.predictions.suggestion import suggest, suggest_limit

    experiment = experiment_from(arguments)
    predicted = plan(experiment)
    asked = with_layouts(asked_quantities(record_from(arguments)), lambda: init(experiment))
    costs = {
        "memory_bytes": memory_needed(experiment),
        "disk_bytes": disk_needed(experiment, asked),
    }
    if not arguments.no_timing:
        try:
            costs["seconds"] = experiment.n_steps * seconds_per_step(experiment)
        except InvalidInput as problem:
            message(f"warning: not timed: {problem}", arguments.quiet)
    suggestion, suggested = None, SUGGESTED
    if arguments.limit:
        suggestion = suggest_limit(experiment)
        suggested = [f.name for f in dataclasses.fields(experiment)]
    elif arguments.suggest:
        suggestion = suggest(experiment)
    if arguments.json:
        values = {**predicted.to_dict(), **costs}
        if suggestion:
            changes = {name: getattr(suggestion[0], name) for name in suggested}
            values["suggestion"] = {**changes, "remarks": suggestion[1]}
        print(json_text(values))
        return 0
    print(text_table(_rows(experiment, predicted, costs)))
    for claim in sorted({one.claim for one in predicted.preconditions}):
        needed = [one for one in predicted.preconditions if one.claim == claim]
        unmet = [one for one in needed if not one.met]
        promised = "not promised" if unmet else "promised"
        said = "; ".join(one.text for one in unmet or needed)
        print("", *wrapped(f"{claim} {promised}: {said}"), sep="\n")
    for warning in predicted.warnings:
        message(f"warning: {warning}", arguments.quiet)
    if suggestion:
        print("\n" + _suggestion(experiment, suggested, *suggestion))
    return 0


def _images(arguments):
    """Print what is known of runs on images before any training."""
    from ..reports.image_tables import prediction_table, predictions
    from ..reports.images import photograph_experiment, photograph_runs

    for name in ("suggest", "limit", "record"):
        if value := getattr(arguments, name):
            raise InvalidInput(f"--{name}", value, "no --images beside it")
    model = model_from(arguments, arguments.images, seed_from(arguments))
    experiment = experiment_from(arguments, photograph_experiment(model))
    sizes = experiment.n_inputs, experiment.n_features
    if sizes != model.dictionary.shape:
        d1, d = model.dictionary.shape
        raise InvalidInput("--images", f"an experiment of sizes {sizes}",
                           f"n_inputs = {d1} and n_features = {d}, those of the images")  # fmt: skip
    show = (lambda *of: json_text(predictions(*of))) if arguments.json else prediction_table
    print(show(model, photograph_runs(model), experiment))
    return 0


def _rows(experiment, predicted, costs):
    """The lines of the table, (name, value)."""
    from ..theory.predictions.preconditions import NOISE_MARGIN, SHARED

    last, level = experiment.n_steps, predicted.plateau
    rows = [
        (f"stage {name} starts at step", _step(start, last))
        for name, start in zip(("II", "III"), predicted.stages)
        if not math.isnan(start)
    ]
    if predicted.selection_growth is not None and math.isnan(predicted.stages.three):
        rows.append(("stage III starts at step", "not predicted: the norms of stage II decide it"))
    if predicted.taught is not None:
        rows += _taught(predicted.taught)
    margins = [one for one in predicted.preconditions if one.name == NOISE_MARGIN]
    rows += [(one.name, f"{one.value:.3g}") for one in margins]
    shared = any(one.name == SHARED and not one.met for one in predicted.preconditions)
    same = augmentation_of(experiment).identical_views
    if predicted.crossing is not None:
        overtakes = f"{predicted.overtakes:.0f}"
        if math.isinf(predicted.overtakes):
            overtakes = f"not by the last, {last}" if experiment.stays_linear else "not in stage I"
        rows.append(("sparse part overtakes at step", overtakes))
        if not (same or shared):
            rows.append(("dense share that noise sustains", f"{predicted.noise_floor:.3g}"))
    if level is not None:
        rows += [
            ("plateau of ‖w‖ at b = 0", f"{level.weight_norm:.3g}"),
            ("  its sparse share", f"{level.sparse_share:.3g}" if level.sparse else "0"),
            ("  spread of its spectrum", f"± {100 * level.half_width:.2g} %"),
        ]
    share, limit = predicted.dense_run, predicted.threshold
    if share is not None and not experiment.stays_linear:
        rows.append(("sparse share of the twin without", _twin(experiment, share)))
        if not (same or shared):
            rows.append(("off-support √d that noise sustains", f"{predicted.off_support:.2g}"))
            if math.isfinite(grows := predicted.selection_growth):
                rows.append(("growth of ‖w‖ from II to the plateau", f"e^{grows:.3g}"))
    if limit is not None and math.isfinite(limit.ratio) and not experiment.stays_linear:
        rows.append(
            ("bias cap ϱ/σ", f"{limit.ratio:.3g}: a dense neuron is active on"
                             f" {100 * limit.activity:.3g} %, needs {100 * limit.needed:.3g} %")
        )  # fmt: skip
    if predicted.samples is not None and math.isfinite(predicted.samples):
        rows.append(("samples in independent batches", f"{predicted.samples:.2g}"))
    for title, found in (
        ("samples from which the signal stands out", predicted.data_set),
        ("N_sup, from which it does with labels", predicted.labelled),
    ):
        if found is not None:
            rows += [
                (title, f"{found.samples_needed:.0f}"),
                ("  sparse share of stage I's pull", f"{found.sparse_share:.2g}"),
            ]
    rows += _end(experiment, predicted)
    if experiment.is_large_batch_limit:
        rows.append(("batches", "the large-batch limit"))
    if "seconds" in costs:
        rows.append(("run time", _duration(costs["seconds"])))
    rows.append(("memory", _size(costs["memory_bytes"])))
    rows.append(("disk, at most", _size(costs["disk_bytes"])))
    return rows


def _twin(experiment, share):
    """What is said of the `DenseRun` of an experiment."""
    from ..theory.predictions.dense_path import MOST_SPARSE, not_followed

    if reason := not_followed(experiment):
        return f"not predicted: {reason}"
    floor = f"floor {share.floor:.2g}"
    if share.share > MOST_SPARSE:
        return f"more than {MOST_SPARSE:g}, as neurons select features; {floor}"
    return f"{share.share:.2g} ± {share.error:.1g}, {floor}"


def _taught(predicted):
    """The lines about what labels do."""
    rows = []
    if math.isfinite(predicted.stage_two):
        rows = [("  dense share then", f"{predicted.dense_share:.2g}")]
    if not math.isnan(predicted.label_noise):
        rows.append(("dense share that label noise leaves", f"{predicted.label_noise:.2g}"))
    return rows


def _end(experiment, predicted):
    """The lines about the end of the run."""
    end, lost, rows = predicted.end, predicted.left_out, []
    begins = math.isfinite(predicted.stages.two)
    if lost is not None and begins and not augmentation_of(experiment).identical_views:
        chance = f"{lost.expected:.2g} expected, any with probability {lost.more_than(0):.2g}"
        rows = [("atoms that lead no neuron after I", chance)]
    if end is None:
        return [*rows, ("end of the run", f"not predicted: {predicted.end_remark}")]
    without = f"{end.atoms_left_out:.2g} of {experiment.n_features}"
    lasts = []
    if math.isfinite(end.until):
        lasts = [("  lasts until step", f"{end.until:.0f}, second features growing")]
    return [
        *rows,
        ("end of the run: pure neurons", f"{end.pure_fraction:.2g}"),
        ("  atoms without a neuron, expected", without),
        ("  dense share ‖β‖²/‖w‖²", f"{end.dense_share:.2g}"),
        ("  same z / same ξ, given z ≠ 0", f"{end.same_latents:.2g} / {end.same_noise:.2g}"),
        ("  regression error on f", f"{end.regression:.2g}"),
        *lasts,
    ]


def _suggestion(experiment, names, suggested, remarks):
    changes = [
        f"--set {name}={value}"
        for name in names
        if (value := getattr(suggested, name)) != getattr(experiment, name)
    ]
    first = "suggestion: " + (" ".join(changes) or "keep batch_size and learning_rate")
    return "\n".join([first, *(line for one in remarks for line in wrapped(f"  {one}"))])


def _step(value, last):
    if math.isinf(value):
        return "never"
    return f"{value:.0f}" + (f" (after the last, {last})" if value > last else "")


def _duration(seconds):
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"


def _size(n_bytes):
    """Bytes in the unit that suits them."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"
