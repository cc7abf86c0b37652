"""Step through an update with the actual numbers, and watch a neuron pick its feature.

By default in a world small enough to read: d = 4, d1 = 12, m = 3, B = 4.

examples:
  featlearn step
  featlearn step --at-step 200 --neuron 1 --anchor 2
  featlearn step --steps 400 --every 20
  featlearn step --interactive
  featlearn step --plot update.png
  featlearn step --html step.html
  featlearn step --set augmentation=none --set batch_size=6 --seed 3

keys of --interactive:
  n, Enter or Space  next step          b  back to what was shown before
  j                  next stage         q  quit
  e                  explain this step: Space next page, b page back, q end
"""

import shutil
import sys
from collections import deque
from pathlib import Path

from ..compute.workspace import Workspace
from ..errors import InvalidInput
from ..explain.gradient_check import check_gradient
from ..explain.text import render, state_lines
from ..explain.update import SMALL_WORLD, explain_step
from ..recording.resources import check_memory
from ..reports.page import page_path, write_page
from ..training import evaluate, init, step
from .common import add_experiment_arguments, experiment_from, message, whole_number
from .keys import read_keys
from .output import wanted

JUMP_LIMIT = 100_000
ENTER = ("", "\n", "\r", " ")
# So many states can be gone back to: those of a large network would fill the memory.
KEPT = 256
KEYS = "n next   b back   j next stage   e explain   q quit"
PAGER_KEYS = "Space next page   b page back   q end"


def add_arguments(parser):
    """Add this command's arguments."""
    add_experiment_arguments(parser, "a small world, d = 4")
    parser.add_argument(
        "--neuron", type=whole_number, default=0, metavar="I", help="neuron to follow (0)"
    )
    parser.add_argument(
        "--anchor", type=whole_number, default=0, metavar="P", help="anchor to follow (0)"
    )
    parser.add_argument(
        "--at-step",
        "--start",
        type=whole_number,
        default=0,
        metavar="T",
        help="train T steps before (0)",
    )
    parser.add_argument(
        "--steps",
        type=whole_number,
        default=0,
        metavar="N",
        help="then N steps, a line a neuron each",
    )
    parser.add_argument(
        "--every",
        type=whole_number,
        default=1,
        metavar="K",
        help="show every K-th of these steps (1)",
    )
    parser.add_argument("--interactive", action="store_true", help="one step at a key")
    parser.add_argument("--plot", metavar="FILE", help="draw the update: a .png or .pdf file")
    parser.add_argument(
        "--html",
        metavar="FILE",
        help="write a page to look around in: --steps N, or all that follow",
    )
    parser.add_argument("--quiet", action="store_true", help="no messages")


def main(arguments):
    """Run it."""
    for name, least in (("at_step", 0), ("steps", 0), ("every", 1)):
        value = getattr(arguments, name)
        if value < least:
            raise InvalidInput(f"--{name.replace('_', '-')}", value, f"a whole number ≥ {least}")
    if arguments.plot and Path(arguments.plot).suffix.lower() not in (".png", ".pdf"):
        raise InvalidInput("--plot", arguments.plot, "a name ending in .png or .pdf")
    if arguments.html:
        page_path("--html", arguments.html)
    experiment = experiment_from(arguments, SMALL_WORLD)
    check_memory(experiment)
    state = _advance(init(experiment), arguments.at_step)
    if arguments.html:
        return _write_page(state, arguments)
    explained = explain_step(state, arguments.neuron, arguments.anchor)
    if arguments.interactive:
        return _interactive(state, arguments)
    print(render(explained, check_gradient(state)))
    if arguments.plot:
        # Matplotlib takes half a second to import, which the text need not wait for.
        from ..plotting.update import save_update

        message(f"drawn: {save_update(explained, arguments.plot)}", arguments.quiet)
    if arguments.steps:
        print()
        _watch(state, arguments.steps, arguments.every)
    return 0


def _write_page(state, arguments):
    from ..reports.explorer import frames_of_steps, make_explorer

    out = page_path("--html", arguments.html)
    steps = arguments.steps or max(state.experiment.n_steps - state.step, 1)
    write_page(out, make_explorer(frames_of_steps(state, steps)))
    print(out)
    return 0


def _advance(state, steps):
    work = Workspace()
    for _ in range(steps):
        state = step(state, work=work)
    return state


def _show(state):
    print("\n".join(state_lines(state, evaluate(state).loss)), flush=True)


def _watch(state, steps, every):
    """Print a state every so often, and always where a stage begins and at the end."""
    _show(state)
    for k in range(1, steps + 1):
        if not wanted():
            return
        before, state = state.stage, step(state)
        if k % every == 0 or k == steps or state.stage != before:
            _show(state)


def _interactive(state, arguments):
    """Advance and go back on keys until q, or the end of the input."""
    message(KEYS, arguments.quiet)
    _show(state)
    keys, before = read_keys(), deque(maxlen=KEPT)
    for key in keys:
        if key == "q" or not wanted():
            break
        if key in ("n", "j", *ENTER):
            before.append(state)
            state = _jump(state, arguments) if key == "j" else step(state)
            _show(state)
        elif key == "b" and before:
            state = before.pop()
            _show(state)
        elif key == "b":
            message("nothing was shown before", arguments.quiet)
        elif key == "e":
            explained = explain_step(state, arguments.neuron, arguments.anchor)
            _page(render(explained, check_gradient(state)).splitlines(), keys)
        else:
            message(KEYS, arguments.quiet)
    return 0


def _page(lines, keys):
    """Print lines a screen at a time, moved by keys; all at once where there is no terminal."""
    height = shutil.get_terminal_size().lines - 1
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or len(lines) <= height:
        print("\n".join(lines), flush=True)
        return
    top = 0
    while True:
        page = lines[top : top + height]
        print("\n".join(page), flush=True)
        if top + height >= len(lines) or not wanted():
            return
        # The prompt goes again, so that what was paged reads as one text.
        print(f"-- {PAGER_KEYS} --", end="", flush=True)
        key = next((key for key in keys if key in ("q", "b", "n", *ENTER)), "q")
        print("\r\033[K", end="", flush=True)
        if key == "q":
            return
        top = max(top - height, 0) if key == "b" else top + height


def _jump(state, arguments):
    """Step until the stage changes; in the last stage, and where it never does, say so."""
    if state.stage == 3:
        message("stage III is the last", arguments.quiet)
        return state
    start = state.stage
    for _ in range(JUMP_LIMIT):
        state = step(state)
        if state.stage != start:
            return state
    message(f"no new stage within {JUMP_LIMIT} steps", arguments.quiet)
    return state
