"""Do the tests notice a broken simulator? Break it in many small ways and see.

Changes the syntax tree of the core's modules at one place at a time (a sign, an operator, a
comparison, a function, a number, a statement left out), in a copy of the source tree, and runs the
fast tests of the core on each. A mutation that no test notices survives, and is listed with what is
known of it. Run by hand; some three seconds a mutation on a quiet processor:

    python scripts/mutation.py                 # 150 of them, evenly spread
    python scripts/mutation.py --all --workers 2
    python scripts/mutation.py --only schedule --all
    python scripts/mutation.py --list

Exit code 0 if at least 97 % are caught, otherwise 1.
"""

import argparse
import ast
import copy
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
WANTED, SAMPLE = 0.97, 150

# What is mutated, and the tests that hold it; those of a mutated file run first.
FILES = (
    "loss", "gradient", "network", "compute/gaussian", "views", "data", "schedule", "alignment",
    "state", "batches", "training",
)  # fmt: skip
HELD_BY = {"state": "training", "batches": "training"}
TESTS = (
    *(name for name in (Path(file).name for file in FILES) if name not in HELD_BY),
    *("edge_cases", "latents", "own_parts", "branches", "paired", "objective_training", "dense"),
)

OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.Gt, ast.GtE: ast.Lt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or,
    ast.Or: ast.And, ast.BitAnd: ast.BitOr,
}  # fmt: skip
FUNCTIONS = {
    "maximum": "minimum", "minimum": "maximum", "add": "subtract", "subtract": "add",
    "multiply": "divide", "divide": "multiply", "sin": "cos", "cos": "sin", "argmax": "argmin",
    "max": "min", "greater_equal": "less", "sqrt": "square", "square": "sqrt", "sum": "prod",
    "mean": "sum", "log": "exp", "log1p": "expm1", "any": "all", "all": "any",
}  # fmt: skip

# Mutations that change nothing a test could see, by file, function, and statement before and after.
KNOWN = {
    (
        "data",
        "_flat_dictionary",
        "columns = np.concatenate([pairs, n_inputs - pairs])",
        "columns = np.concatenate([pairs, n_inputs + pairs])",
    ): "cos π(2r+1)(n+k)/2n = -cos π(2r+1)(n-k)/2n: these columns change sign, as any may",
    (
        "schedule",
        "advance",
        "stage == 2 and np.mean(grown >= cap * (1 - 1e-06)) >= 0.5",
        "stage == 2 and np.mean(grown >= cap * (1 - 2e-06)) >= 0.5",
    ): "an allowance for rounding",
    (
        "state",
        "neuron_norms",
        "not (squares.min() > 1e-30 and squares.max() < 1e+30)",
        "not (squares.min() > 1e-30 and squares.max() < 2e+30)",
    ): "where float64 takes over, far from where float32 ends",
}


class Mutation(NamedTuple):
    """One change of a module: what a statement of one of its functions was and becomes."""

    file: str
    function: str
    before: str
    after: str
    source: str

    @property
    def known(self):
        """Why it cannot be noticed, where it cannot."""
        return KNOWN.get(self[:4], "")

    def __str__(self):
        return f"{self.file}: {self.function}: {self.before!r} -> {self.after!r}"


def mutations(file):
    """Return the mutations of a module, in the order of its source."""
    tree = ast.parse((ROOT / "featlearn" / f"{file}.py").read_text(encoding="utf-8"))
    found = []
    for function, statement in _statements(tree):
        before = ast.unparse(statement)
        for change in _changes(statement):
            undo = change()
            after = ast.unparse(statement)
            found.append(Mutation(file, function, before, after, ast.unparse(tree)))
            undo()
    return found


def _statements(tree):
    """Yield the simple statements and conditions of all functions, with the function's name."""
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    functions = [node for body in bodies for node in body if isinstance(node, ast.FunctionDef)]
    for function in functions:
        for node in ast.walk(function):
            documents = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if (
                isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr, ast.Return))
                and not documents
            ):
                yield function.name, node
            elif isinstance(node, ast.If):
                yield function.name, node.test


def _changes(statement):
    """Yield functions that change a statement in place and return what undoes it."""
    if isinstance(statement, ast.AugAssign) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    ):
        yield lambda: _turn(statement, ast.Pass())
    for node in ast.walk(statement):
        if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in OPERATORS:
            if not (isinstance(node, ast.BinOp) and _joins(node)):
                yield lambda node=node: _put(node, "op", OPERATORS[type(node.op)]())
        elif isinstance(node, ast.Compare) and type(node.ops[0]) in OPERATORS:
            yield lambda node=node: _put(
                node, "ops", [OPERATORS[type(node.ops[0])](), *node.ops[1:]]
            )
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
            yield lambda node=node: _turn(node, node.operand)
        elif isinstance(node, ast.Attribute) and node.attr in FUNCTIONS:
            yield lambda node=node: _put(node, "attr", FUNCTIONS[node.attr])
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            whole = isinstance(node.value, int)
            other = node.value + 1 if whole else 2 * node.value or 1.0
            yield lambda node=node, other=other: _put(node, "value", other)


def _joins(node):
    """Whether an operator joins texts or sequences."""
    kinds = (ast.JoinedStr, ast.Tuple, ast.List)
    return any(
        isinstance(side, kinds) or isinstance(side, ast.Constant) and isinstance(side.value, str)
        for side in (node.left, node.right)
    )


def _put(node, field, value):
    old = getattr(node, field)
    setattr(node, field, value)
    return lambda: setattr(node, field, old)


def _turn(node, other):
    """Make a node another one, in its place."""
    kind, fields = node.__class__, dict(node.__dict__)
    other = copy.copy(other)
    node.__class__, node.__dict__ = other.__class__, dict(other.__dict__)

    def undo():
        node.__class__, node.__dict__ = kind, fields

    return undo


def caught(mutation, place):
    """Return the last line of the tests' output, or None where every test passed."""
    tree = Path(tempfile.mkdtemp(dir=place))
    for folder in ("featlearn", "tests"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.cfg", tree)
    name = ""
    if mutation is not None:
        path = tree / "featlearn" / f"{mutation.file}.py"
        path.write_text(mutation.source, encoding="utf-8")
        name = HELD_BY.get(path.stem, path.stem)
    order = sorted(TESTS, key=lambda test: test != name)
    environment = {**os.environ, "PYTHONPATH": str(tree), "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    try:
        result = subprocess.run(
            [*command, *(f"tests/test_{test}.py" for test in order)],
            cwd=tree, env=environment, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "the tests did not end"
    finally:
        shutil.rmtree(tree)
    if result.returncode == 0:
        return None
    failed = [line for line in result.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return failed[0].split(" - ")[0] if failed else result.stdout[-200:]


def main(argv=None):
    """Run the mutations and print which of them a test caught."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="FILE", choices=FILES, help="of one file")
    parser.add_argument("--all", action="store_true", help=f"all, not {SAMPLE} evenly spread ones")
    parser.add_argument("--workers", type=int, default=1, help="at a time (1)")
    parser.add_argument("--list", action="store_true", help="show the mutations and stop")
    arguments = parser.parse_args(argv)
    files = [arguments.only] if arguments.only else FILES
    every = [mutation for file in files for mutation in mutations(file)]
    stride = 1 if arguments.all else max(len(every) / SAMPLE, 1)
    chosen = [every[int(k * stride)] for k in range(int(len(every) / stride))]
    if arguments.list:
        for mutation in chosen:
            print(mutation)
        return 0
    with tempfile.TemporaryDirectory() as place:
        broken = caught(None, place)
        if broken is not None:
            raise SystemExit(f"the tests fail without any mutation: {broken}")
        survivors = []
        with ThreadPoolExecutor(arguments.workers) as pool:
            for m, by in zip(chosen, pool.map(lambda m: caught(m, place), chosen)):
                print(f"{'SURVIVED' if by is None else 'caught  '} {m}  [{by}]", flush=True)
                if by is None:
                    survivors.append(m)
    share = 1 - len(survivors) / len(chosen)
    print(f"\n{len(chosen) - len(survivors)} of {len(chosen)} mutations caught, {share:.1%}")
    for m in survivors:
        print(f"survivor {m}\n    {m.known or 'not explained'}")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
