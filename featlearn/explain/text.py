"""The text view of an explained update, and of the steps after it, in 80 columns.

Every number printed is read from an `ExplainedStep`; the sections follow featlearn/theory/
derivation.md, "The gradient by hand".
"""

import numpy as np

from ..alignment import alignment, best_cosine_of_neurons, cosines
from ..views import augmentation_of
from .tables import WIDTH, bar, beside, cell, masks, matrix, spark

ATOMS_SHOWN = 5


def render(explained, check=None):
    """Return an `ExplainedStep` as text, with its `GradientCheck` where given."""
    e = explained
    parts = [_head(e), _samples(e), _views(e), _network(e), _softmax(e), _coefficients(e)]
    parts += [_forces(e), _update(e)]
    if check is not None:
        parts.append(_check(check, e))
    return "\n\n".join("\n".join(part) for part in parts)


def _head(e):
    exp, s = e.before.experiment, e.before
    return [
        f"Update {s.step} → {s.step + 1}, stage {'I' * s.stage}, seed {exp.seed}",
        f"d = {exp.n_features} atoms M_j   d1 = {exp.n_inputs} inputs   m = {exp.n_neurons} neurons"
        f"   B = {exp.batch_size} anchors",
        f"η = {exp.learning_rate:g}   λ = {exp.weight_decay:g}   τ = {exp.temperature:g}"
        f"   s = {s.model.density:.3g}   σ² = {s.model.noise_variance:.3g}"
        f"   views: {s.views}",
        f"followed: neuron i = {e.neuron} (w{e.neuron}) and anchor p = {e.anchor} (p{e.anchor});"
        " a dot is an exact 0",
    ]


def _section(number, title, blocks, look):
    lines = [f"{number}  {title}", "─" * WIDTH]
    for block in blocks:
        lines += block
    return [*lines, f"look: {look}"]


def _samples(e):
    atoms, keep = [f"M{j}" for j in range(e.latents.shape[1])], (e.anchor,)
    z = e.latents[e.anchor]
    whole = np.array_equal(e.latents, np.rint(e.latents))
    first = np.argsort(-np.abs(z), kind="stable")[: min(ATOMS_SHOWN, np.count_nonzero(z))]
    made_of = " ".join(
        f"{'+' if z[j] > 0 else '-'} {'' if abs(z[j]) == 1 else f'{abs(z[j]):.2f} '}M{j}"
        for j in first
    )
    energy, noise = (float(np.mean(np.sum(a**2, axis=1))) for a in (e.signal, e.noise))
    blocks = [
        matrix(
            "z",
            e.latents,
            columns=atoms,
            keep=keep,
            places=0 if whole else 2,
            note="which atoms, which sign",
        ),
        matrix("ξ", e.noise, keep=keep, note="dense noise"),
        matrix("x", e.inputs, keep=keep, note="the samples, one a row"),
    ]
    look = f"p{e.anchor} is {made_of or '0'} + ξ. Mean ‖Mz‖² = {energy:.2f}, ‖ξ‖² = {noise:.2f}."
    return _section(1, "The samples: x = M z + ξ", blocks, look)


def _views(e):
    exp, keep = e.before.experiment, (e.anchor,)
    own = e.before.own.get("augmentation")
    augmentation = augmentation_of(exp) if own is None else own
    formula, look = (getattr(augmentation, word, "") for word in ("formula", "remark"))
    if hasattr(augmentation, "keep_probability"):
        formula += f",  k = {augmentation.keep_probability:g}"
    names = zip(("diag D", "diag D'"), e.masks)
    blocks = [masks(name, mask, keep, "which inputs are kept") for name, mask in names]
    blocks.append(matrix("x⁺", e.anchors, keep=keep, note="the anchors"))
    blocks.append(matrix("x⁺⁺", e.keys, keep=keep, note="the keys"))
    return _section(2, f"The two views: {formula or e.before.views}", blocks, look)


def _network(e):
    neurons, keep = [f"w{i}" for i in range(len(e.before.weights))], (e.anchor,)
    first = {"columns": neurons, "keep": keep}
    blocks = [
        beside(
            matrix("u⁺", e.anchor_preactivations, **first),
            matrix("h⁺", e.anchor_features, label=0, **first),
        ),
        beside(
            matrix("u⁺⁺", e.key_preactivations, **first),
            matrix("h⁺⁺", e.key_features, label=0, **first),
        ),
        matrix("b", e.before.biases[None, :], rows=[""], keep=(0,), note="thresholds"),
    ]
    on = e.anchor_active.mean()
    if not e.before.biases.any():
        look = "b = 0, so every neuron is active and h = u: the network is linear."
    else:
        look = f"{on:.0%} of the (anchor, neuron) pairs are active; the others are dots in h."
    return _section(3, "The network: u = ⟨w, x⟩, h = sign(u) max(|u| - b, 0)", blocks, look)


def _softmax(e):
    keep = (e.anchor,)
    if e.similarity is None:
        return _objective(e)
    softmax = e.before.experiment.objective == "infonce"
    if e.negatives is None:
        columns = [f"q{q}" for q in range(e.similarity.shape[1])]
        title = "How similar anchors and keys are: S = H⁺ H⁺⁺ᵀ/τ, P = softmax of each row"
        if not softmax:
            title = "How similar anchors and keys are: S = H⁺ H⁺⁺ᵀ/τ; R, how strongly each repels"
    else:
        columns = ["own", *(f"n{k}" for k in range(e.similarity.shape[1] - 1))]
        title = "How similar each anchor is to its own key, then to the negatives"
    kwargs = {"columns": columns, "keep": keep}
    blocks = [
        beside(
            matrix("S", e.similarity, **kwargs),
            matrix("P" if softmax else "R", e.probability, label=0, **kwargs),
            matrix("δ - P" if softmax else "δ - R", e.residual, label=0, **kwargs),
        )
    ]
    if not softmax:
        blocks.append([f"L = mean of {e.before.objective.formula} = {e.loss.before:.5f}"])
        look = "the own key attracts with strength 1, however near it is."
        return _section(4, title, blocks, look)
    own = e.probability[np.arange(len(e.anchors)), e.positive_column]
    blocks.append([f"L = mean of -τ log P(own key) = {e.loss.before:.5f}"])
    look = (
        f"P(own key) is {own.mean():.3f} on average, by chance {1 / len(e.contrasted_with(0)):.3f};"
        " δ - P says how far to go."
    )
    return _section(4, title, blocks, look)


def _objective(e):
    """What an objective that is no loss of pairs is told, and its own arrays."""
    objective, blocks = e.before.objective, []
    if e.labels is not None:
        tasks = [f"y{k}" for k in range(e.labels.shape[1])]
        blocks.append(matrix("Y", e.labels, columns=tasks, keep=(e.anchor,), note="the labels"))
    neurons = [f"w{i}" for i in range(len(e.before.weights))]
    for name, p in e.before.parameters.items():
        blocks.append(matrix(name, p, columns=neurons, keep=(0,), note="before the update"))
    blocks.append([f"L = {objective.formula}", f"  = {e.loss.before:.5f} on this batch"])
    look = "-∂L/∂h is all that the network hears of it."
    return _section(4, f"What the objective asks for: {objective.label}", blocks, look)


def _coefficients(e):
    i, p = e.neuron, e.anchor
    if e.pulls is None:
        table = np.column_stack([e.anchor_features[:, i], e.coefficients[0][:, i]])
        block = matrix(f"w{i}", table, columns=["h⁺", "A"], keep=(p,), places=4, width=10)
        look = "A is how much of each x⁺ goes into w, 0 where the neuron is not active."
        title = f"How much of each sample goes into w{i}: A = active · (-B ∂L/∂h)"
        return _section(5, title, [block], look)
    table = np.column_stack([e.key_features[:, i], e.pulls[:, i], e.pushes[:, i]])
    table = np.column_stack([table, e.coefficients[0][:, i]])
    block = matrix(
        f"w{i}", table, columns=["h⁺⁺", "pull", "push", "A"], keep=(p,), places=4, width=10
    )
    if e.anchor_active[p, i]:
        written = _written_out(e, i, p)
    else:
        written = [f"p{p}: |u⁺| < b, w{i} is not active on it, so it adds nothing to w{i}."]
    look = "A is how much of each x⁺ goes into w; its sign is mostly that of h⁺⁺."
    if not e.before.objective.stop_gradient:
        look = "the keys get such coefficients too, as no gradient is stopped (not shown)."
    repels = "P" if e.before.experiment.objective == "infonce" else "R"
    title = f"How much of each sample goes into w{i}: A = active · Σ_q (δ - {repels}) h(q)"
    return _section(5, title, [block, written], look)


def _written_out(e, i, p):
    """A_pi as a sum of numbers."""
    own, features = e.positive_column[p], e.candidate_features[:, i]
    others = [q for q in e.contrasted_with(p) if q != own]
    shift = 0 if e.negatives is None else 1
    sums = " + ".join(f"{e.probability[p, q]:.3f}·({features[q - shift]:.3f})" for q in others[:3])
    more = " + …" if len(others) > 3 else ""
    pull = f"{e.residual[p, own]:.3f}·({e.key_features[p, i]:.3f}) = {e.pulls[p, i]:.4f}"
    strength = "(1-P) " if e.before.objective.fades else ""
    return [
        f"p{p}: pull = {strength}h⁺⁺ = {pull}",
        f"    push = -[{sums}{more}] = {e.pushes[p, i]:.4f}",
        f"    A    = pull + push = {e.coefficients[0][p, i]:.4f}",
    ]


def _forces(e):
    i, p = e.neuron, e.anchor
    M = e.dictionary
    order = np.argsort(-e.cosines[i], kind="stable")[:ATOMS_SHOWN]
    order = np.sort(order) if len(order) == M.shape[1] else order
    part = e.coefficients[0][p, i] * e.anchors[p] / len(e.anchors)
    before, after = e.before.weights[i], e.after.weights[i]

    def row(name, on_atoms, dense):
        return name, [*on_atoms[order], float(np.linalg.norm(dense))]

    def split(name, vector):
        on_atoms = vector @ M
        return row(name, on_atoms, vector - M @ on_atoms)

    def of(name, force):
        return row(name, force.on_atoms[i], force.dense[i])

    rows = [
        split("w before", before),
        *(
            [of("descent -∂L/∂w", e.descent)]
            if e.attraction is None
            else [of("positive term", e.attraction), of("negative term", e.repulsion)]
        ),
        split(f"  p{p}'s part, A x⁺/B", part),
        of("decay -λw", e.decay),
        of("Δw = η · their sum", e.update),
        split("w after", after),
    ]
    lines = [" " * 22 + "".join(f"{f'M{j}':>9}" for j in order) + f"{'‖dense‖':>11}"]
    for name, values in rows:
        cells = "".join(cell(v, 4, 9) for v in values[:-1])
        lines.append((f"{name:<22}{cells}{cell(values[-1], 4, 11)}").rstrip())
    others = M.shape[1] - len(order)
    if others:
        lines.append(f"({others} more atoms, with smaller |⟨w, M_j⟩|)")
    lead = int(np.argmax(e.cosines[i]))
    look = f"w{i} leads on M{lead} (cosine {e.cosines[i][lead]:.2f}): read that column downwards."
    title = f"What moves w{i}: ⟨term, M_j⟩ for every atom, and the rest"
    return _section(6, title, [lines], look)


def _update(e):
    before, after, i = e.before, e.after, e.neuron
    lines = [
        "w ← (1 - ηλ) w - η ∂L/∂w, then b and the stage by their schedule:",
        f"‖w{i}‖ {before.weight_norms[i]:.4f} → {after.weight_norms[i]:.4f}    b{i}"
        f" {before.biases[i]:.4f} → {after.biases[i]:.4f}    stage {'I' * before.stage} →"
        f" {'I' * after.stage}",
        "",
        f"{'loss on this same batch':<33}{'before':>10}{'after':>10}"
        f"{'change':>11}{'predicted':>12}",
    ]

    def row(name, change):
        return f"{name:<33}{change.before:10.5f}{change.after:10.5f}{change.actual:11.6f}" + (
            f"{change.predicted:12.6f}" if change.predicted == change.predicted else f"{'-':>12}"
        )

    if e.held_loss is not None:
        lines.append(row("keys held (what ∂L/∂W is of)", e.held_loss))
    lines.append(row("both views with the new w", e.loss))
    if np.any(before.biases != after.biases):
        change = e.next_loss - e.loss.before
        lines.append(
            f"{'and with the new b':<33}{e.loss.before:10.5f}{e.next_loss:10.5f}{change:11.6f}"
            f"{'-':>12}"
        )
    lines.append("predicted: ⟨∂L/∂W, ΔW⟩ at the old b, decay included in ΔW")
    look = "the closer the two, the better a straight line describes this step."
    if e.held_loss is not None:
        look = "the stop-gradient descends the first line; the second may even rise."
    return _section(7, "The update, and what it does to the loss", [lines], look)


def _check(check, e):
    n = e.before.weights.size
    lines = [
        f"{check.compared} of {n} coordinates of W, (L(w+ε) - L(w-ε)) / 2ε"
        + (", keys held" if e.held_loss is not None else ""),
        f"largest difference {check.largest:.1e}, where the largest |∂L/∂W| is {check.scale:.1e}",
    ]
    if check.kinks:
        lines.append(f"{check.kinks} left out: a neuron switches on or off within ε")
    look = "the gradient written by hand is the slope of the loss itself."
    return _section(8, "The same gradient from central differences", [lines], look)


def state_lines(state, loss=None):
    """Return the lines that show a state: a head, then one a neuron with its cosines as bars.

    Every neuron's line shows |cos(w_i, M_j)| for every atom: wide bars for few atoms, one
    character each for more, and for more than 44 the leading ones in descending order.
    """
    alpha = alignment(state.weights, state.model.dictionary)
    cosine = cosines(alpha, state.weight_norms)
    best = best_cosine_of_neurons(cosine)
    d = cosine.shape[1]
    head = f"step {state.step:<6} stage {'I' * state.stage:<4}"
    lines = [head + ("" if loss is None else f" loss {loss:.4f}")]
    for i, row in enumerate(cosine):
        if d <= ATOMS_SHOWN:
            bars = " ".join(f"M{j} {bar(c, 9)}" for j, c in enumerate(row))
        else:
            shown = row if d <= 44 else np.sort(row)[::-1][:44]
            bars = "".join(map(spark, shown))
        ratio = state.biases[i] / state.weight_norms[i] if state.weight_norms[i] > 0 else 0.0
        label = f"w{i}".ljust(len(f"w{len(cosine) - 1}"))
        lines.append(f"{label} {bars} {best[i]:.2f} M{row.argmax():<3} b/‖w‖ {ratio:.2f}")
    return lines
