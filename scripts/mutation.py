"""Do the tests notice a broken simulator? Break it in many small ways and see.

Applies the mutations below one at a time to a copy of the source tree and runs the fast tests of
the core on each. A mutation that no test notices survives, and is listed with what is known of it.
Run by hand; about five minutes on two quiet processors:

    python scripts/mutation.py                 # all
    python scripts/mutation.py --only schedule # those of one file
    python scripts/mutation.py --list

Exit code 0 if at least 95 % are caught, otherwise 1.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WANTED = 0.95

# The fast tests, those of a mutated file first.
TESTS = (
    "loss", "gradient", "network", "gaussian", "views", "data", "schedule", "alignment", "training",
    "edge_cases",
)  # fmt: skip


class Mutation(NamedTuple):
    """One change of the source: a piece of a file that occurs there once, and what replaces it.

    `known` says why the mutation cannot be noticed, where it cannot.
    """

    file: str
    old: str
    new: str
    known: str = ""


def mutations():
    """Return the list of all mutations."""
    return [Mutation(file, *change) for file, changes in CHANGES.items() for change in changes]


CHANGES = {
    "loss": [
        ("np.divide(anchors, temp", "np.multiply(anchors, temp"),
        ("logits[own] = -np.inf", "logits[own] = 0.0"),
        ("logits[own] = -np.inf", "pass"),
        ("np.arange(len(index)), index\n", "np.arange(len(index)), np.arange(len(index))\n"),
        ('np.einsum("pi,pi->p", scaled, keys', 'np.einsum("pi,pi->p", anchors, keys'),
        ("np.maximum(logits.max(axis=1), positive)", "positive"),
        ("np.maximum(logits.max(axis=1), positive)", "logits.max(axis=1)"),
        ("largest == positive,", "largest != positive,"),
        ("        np.log1p(negative_weight, dtype=np.float64),", "        np.log(total, dtype=np.float64),"),
        ("np.log1p(negative_weight, dtype=np.float64)", "np.log1p(negative_weight)"),
        ("losses = temperature * (", "losses = ("),
        ("(largest - positive).astype", "(positive - largest).astype"),
        ("float(np.mean(losses))", "float(np.sum(losses))"),
        ("attraction=negative_weight / total", "attraction=1 - np.exp(positive - largest) / total"),
        ("attraction=negative_weight / total", "attraction=negative_weight"),
        ("positive_probability=np.exp(positive - largest) / total", "positive_probability=1 / total"),
        ("negative_weight + np.exp(positive - largest)", "negative_weight + 0"),
        ("weights /= total[:, None]", "weights /= negative_weight[:, None]"),
        ("logits -= largest[:, None]", "pass"),
    ],
    "gradient": [
        ("np.negative(a, out=a)", "pass"),
        ("np.subtract(pull, a[some], ", "np.add(pull, a[some], "),
        ("np.subtract(pull, a[some], ", "np.subtract(a[some], pull, "),
        ("    a *= active\n", ""),
        ("pull = strength[some, None] * partners[some]", "pull = partners[some]"),
        ("gradient /= -len(anchors)", "gradient /= len(anchors)"),
        ("gradient /= -len(anchors)", "gradient /= -len(weights)"),
        ("gradient /= -len(anchors)", "gradient /= 1 - len(anchors)"),
        ("gradient += more", "gradient -= more"),
        ("if not stop_gradient:", "if stop_gradient:"),
        ("if keys is not anchors:", "if False:"),
        ("from_anchors, h = repulsion.T,", "from_anchors, h = repulsion,"),
        ("None if negatives is not None else from_anchors", "from_anchors"),
        ("h_key, h, h, in_batch", "h_key, h_key.features, h, in_batch"),
        ("h_key.features, h_negative.features, repulsion,", "h_anchor.features, h_negative.features, repulsion,"),
        ("np.sign(t.activations.preactivations)", "np.abs(t.activations.preactivations)"),
        ("return total / len(self.terms[0].inputs)", "return total / -len(self.terms[0].inputs)"),
        ("return total / -len(self.terms[0].inputs)", "return total / len(self.terms[0].inputs)"),
        ("self.partners * self.activations.active", "self.partners"),
        ("self.weights - self.positive", "self.weights + self.positive"),
        ("if not (biases >= 0).all():", "if not (biases > 0).all():"),
        ("if not (biases >= 0).all():", "if (biases < -1).any():"),
    ],
    "compute/gaussian": [
        ("r += np.float32(0.5)", "r += np.float32(0.0)", "Makes a draw infinite once in 2³² draws; nothing draws as many."),
        ("r *= np.float32(-2)", "r *= np.float32(-1)"),
        ("np.float32(scale)", "np.float32(scale * scale)"),
        ("2 * math.pi / 2**32", "math.pi / 2**32"),
        ("np.sin(phi[", "np.cos(phi["),
        (".view(np.uint32)[:n]", ".view(np.uint32)[:n] // 2"),
        ("    r *= phi\n", ""),
        ("    rest *= r[: rest.size]\n", ""),
    ],
    "network": [
        ("np.greater_equal(h, biases", "np.greater(h, biases"),
        ("np.abs(u, out=h)", "np.copyto(h, u)"),
        ("np.maximum(h, -biases, out=h)", "np.maximum(h, 0, out=h)"),
        ("np.subtract(u, h, out=h)", "np.add(u, h, out=h)"),
        ("np.subtract(u, h, out=h)", "np.copyto(h, u)"),
    ],
    "views": [
        ("< np.float32(probability)", "> np.float32(probability)"),
        ("x *= 1 / keep\n", "x *= keep\n"),
        ("if keep != 0.5:\n", "if keep > 1:\n"),
        ("np.subtract(x, anchors, out=keys)", "np.copyto(keys, anchors)"),
        ("x = np.add(sample.signal, sample.noise, out=keys)", "x = np.add(sample.signal, 0, out=keys)"),
        ("np.multiply(x, mask, out=anchors)", "np.copyto(anchors, x)"),
        ("odds = keep / (1 - keep)", "odds = (1 - keep) / keep"),
        ("cross=Moment(density, -density, 0.0)", "cross=Moment(density, 0.0, 0.0)"),
        ("density / odds, noise_variance / keep)", "density / odds, noise_variance / (1 - keep))"),
        ("density * odds, noise_variance / (1 - keep))", "density * odds, 2 * noise_variance)"),
        ("tuple(_bernoulli(rng, sample.signal.shape, keep) for _ in range(2))", "(_bernoulli(rng, sample.signal.shape, keep),) * 2"),
        ("view *= 1 / keep", "view *= 2"),
        ("(1 / keep - 1) * density", "density / keep"),
        ("Moment(density, 0.0, noise_variance), same, same)", "Moment(density, 0.0, 0.0), same, same)"),
        ("math.sqrt(2 * rho)", "math.sqrt(rho)"),
        ("math.sqrt(2 * (1 - rho))", "math.sqrt(1 - rho)"),
        ("2 * self.noise_correlation * noise_variance", "self.noise_correlation * noise_variance"),
        ("np.add(sample.signal, sample.noise, out=anchors)", "np.subtract(sample.signal, sample.noise, out=anchors)"),
        ("return RandomMask(keep_probability)", "return RandomMask()"),
        ("return CorrelatedNoise(noise_correlation)", "return CorrelatedNoise()"),
    ],
    "data": [
        ("half = self.density / 2", "half = self.density"),
        ("latents -= (uniform", "latents += (uniform"),
        ("(z[row, feature], feature", "(np.abs(z[row, feature]), feature"),
        ("math.sqrt(self.noise_variance)", "self.noise_variance"),
        ("np.where(np.diag(r) < 0, -1.0, 1.0)", "1.0"),
        ("np.where(columns == 0, np.sqrt(1 / n_inputs)", "np.where(columns < 0, np.sqrt(1 / n_inputs)"),
        ("[pairs, n_inputs - pairs]", "[pairs, n_inputs - 1 - pairs]"),
        ("size=(n_inputs, 1))", "size=(1, len(columns)))", "Signs of columns instead of rows: as flat and as orthonormal, another law."),
    ],
    "schedule": [
        ("root_mean_square(new_norms) <", "root_mean_square(new_norms) <="),
        ("root_mean_square(new_norms) <", "root_mean_square(norms) <"),
        ("self.stage_one_growth * initial_norm", "self.stage_one_growth"),
        ("np.square(norms, dtype", "np.abs(norms, dtype"),
        ("(self.jump * new_norms)", "(self.jump * norms)"),
        ("return 1, biases\n            if", "return 2, biases\n            if"),
        ("cap = self.cap * new_norms", "cap = self.cap * norms"),
        ("np.divide(new_norms, norms,", "np.divide(norms, new_norms,"),
        ("np.maximum(self.growth, ratio)", "np.minimum(self.growth, ratio)"),
        ("np.maximum(self.growth, ratio)", "self.growth"),
        ("np.maximum(self.growth, ratio)", "ratio"),
        ("np.minimum(biases *", "np.maximum(biases *"),
        (", cap).astype", ", 9 * cap).astype"),
        ("(1 - 1e-6)) >= 0.5", "(1 - 1e-6)) > 0.5"),
        ("stage == 2 and np.mean(grown >= cap * (1 - 1e-6))", "stage == 2 and np.mean(grown >= cap * 2)"),
        ("where=norms > 0", "where=norms > 1"),
    ],
    "alignment": [
        ("dtype=np.float64) - sparse", "dtype=np.float64) + sparse"),
        ("np.sqrt(np.maximum(squared, 0))", "np.sqrt(np.abs(squared))"),
        ("np.divide(sparse, total, out=np.zeros_like(sparse)", "np.divide(total, sparse, out=np.zeros_like(sparse)"),
        ("out=np.zeros_like(sparse), where=total > 0", "out=np.ones_like(sparse), where=total > 0"),
        ("absolute = np.abs(alignments)", "absolute = +alignments"),
        ("return cosine.max(axis=-1)", "return cosine.max(axis=-2)"),
        ("return cosine.max(axis=-2)", "return cosine.min(axis=-2)"),
        ("cosine.argmax(axis=1)", "cosine.argmin(axis=1)"),
        ("cosine.max(axis=1) >= threshold", "cosine.max(axis=1) > threshold"),
        ("1 / math.sqrt(cosine.shape[1])", "1 / cosine.shape[1]"),
        ("return cosine >= threshold", "return cosine > threshold"),
        ("squares.sum(axis=1, keepdims=True)", "squares.sum(axis=0, keepdims=True)"),
        ("unit = math.log(d) / d", "unit = 1 / d"),
        ("q >= potential * unit", "q >= sure * unit"),
        ("(q >= sure * unit)", "(q >= potential * unit)"),
        ("& (others == 0)", ""),
        ("keepdims=True) - candidates", "keepdims=True)"),
        ("2 + 2 * (1 - gamma) * excess", "2 + 2 * gamma * excess"),
    ],
    "training": [
        ("1 - exp.learning_rate * exp.weight_decay", "1 + exp.learning_rate * exp.weight_decay"),
        ("1 - exp.learning_rate * exp.weight_decay", "1 - exp.weight_decay"),
        ("np.multiply(gradient, -exp.learning_rate", "np.multiply(gradient, exp.learning_rate"),
        ("experiment.initial_norm / math.sqrt(experiment.n_inputs)", "experiment.initial_norm"),
        ('"latents", state.step,', '"latents", 0,'),
        ("stream, state.step, start // BLOCK_ROWS)", "stream, 0, start // BLOCK_ROWS)"),
        ("stream, state.step, start // BLOCK_ROWS)", "stream, state.step, 0)"),
        ("_SETS[stream])", "0)"),
        ('"negatives", exp.negatives, work)[0].keys', '"negatives", exp.negatives, work)[0].anchors'),
        ("state.weight_norms, norms, state.initial_norm", "norms, norms, state.initial_norm"),
        ("step=state.step + 1", "step=state.step + 2"),
        ("weights, weights, dtype=np.float64)", "weights, weights)"),
        ("(exp.augmentation, exp.keep_probability, exp.noise", "(exp.augmentation, 0.5, exp.noise"),
        ("            exp.stop_gradient,\n", "            True,\n"),
        ("            exp.temperature,\n", "            1.0,\n"),
        ("            batch.negatives,\n", "            None,\n"),
    ],
}  # fmt: skip


def caught(mutation, place):
    """Return the last line of the tests' output, or None where every test passed."""
    tree = Path(tempfile.mkdtemp(dir=place))
    for folder in ("featlearn", "tests"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tree)
    if mutation is not None:
        path = tree / "featlearn" / f"{mutation.file}.py"
        source = path.read_text(encoding="utf-8")
        if source.count(mutation.old) != 1:
            raise SystemExit(
                f"{mutation.file}: {mutation.old!r} occurs {source.count(mutation.old)} times"
            )
        path.write_text(source.replace(mutation.old, mutation.new), encoding="utf-8")
    name = Path(mutation.file).name if mutation is not None else ""
    first = [name] if name in TESTS else []
    order = first + [name for name in TESTS if name not in first]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider",
         *(f"tests/test_{name}.py" for name in order)],
        cwd=tree, env=environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    shutil.rmtree(tree)
    if result.returncode == 0:
        return None
    failed = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0] if failed else result.stdout[-200:]


def main(argv=None):
    """Run the mutations and print which of them a test caught."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="FILE", choices=list(CHANGES), help="of one file")
    parser.add_argument("--first", type=int, metavar="N", help="the first N only")
    parser.add_argument("--workers", type=int, default=1, help="at a time (1)")
    parser.add_argument("--list", action="store_true", help="show the mutations and stop")
    arguments = parser.parse_args(argv)
    chosen = [m for m in mutations() if arguments.only in (None, m.file)][: arguments.first]
    if arguments.list:
        for m in chosen:
            print(f"{m.file}: {m.old.strip()!r} -> {m.new.strip()!r}")
        return 0
    with tempfile.TemporaryDirectory() as place:
        broken = caught(None, place)
        if broken is not None:
            raise SystemExit(f"the tests fail without any mutation: {broken}")
        survivors = []
        with ThreadPoolExecutor(arguments.workers) as pool:
            for m, by in zip(chosen, pool.map(lambda m: caught(m, place), chosen)):
                change = f"{m.file}: {m.old.strip()!r} -> {m.new.strip()!r}"
                print(f"{'SURVIVED' if by is None else 'caught  '} {change}  [{by}]", flush=True)
                if by is None:
                    survivors.append((change, m.known))
    share = 1 - len(survivors) / len(chosen)
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} mutations caught, {share:.1%}")
    for change, known in survivors:
        print(f"survivor {change}\n    {known or 'not explained'}")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
