"""`featlearn step`: what it prints, how it watches, and its keys in a real terminal."""

import os
import re
import select
import subprocess
import sys

import numpy as np
import pytest

from featlearn import explain_step, init, step
from featlearn.commands import main
from featlearn.explain.gradient_check import check_gradient
from featlearn.explain.tables import bar, cell, matrix, spark
from featlearn.explain.text import render, state_lines
from featlearn.explain.update import SMALL_WORLD

NUMBER = re.compile(r"-?\d+\.\d+|·")
OPTIONS = [
    [],
    ["--at-step", "90", "--neuron", "2", "--anchor", "3", "--steps", "3"],
    ["--set", "negatives=7", "--set", "stop_gradient=false"],
    ["--set", "augmentation=none"],
    ["--set", "augmentation=independent_masks"],
    ["--set", "augmentation=correlated_noise", "--set", "noise_correlation=0.5"],
    ["--set", "n_features=40", "--set", "n_inputs=64", "--set", "n_neurons=12", "--steps", "2"],
    ["--set", "n_features=50", "--set", "n_inputs=64", "--set", "batch_size=20", "--steps", "2"],
    ["--set", "n_features=1", "--set", "batch_size=2", "--anchor", "1", "--steps", "2"],
]


@pytest.mark.parametrize("options", OPTIONS, ids=" ".join)
def test_it_prints_every_section_within_80_columns(options, capsys):
    assert main(["step", *options]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(line == line.rstrip() for line in lines)
    for number in range(1, 9):
        assert sum(line.startswith(f"{number}  ") for line in lines) == 1
    assert sum(line.startswith("look: ") for line in lines) == 8


def numbers_below(lines, start, rows, skip=0):
    """The numbers of a matrix as printed, below the line that starts with its name."""
    at = next(k for k, line in enumerate(lines) if line.startswith(start))
    found = [
        [0.0 if word == "·" else float(word) for word in NUMBER.findall(line[3:])]
        for line in lines[at + 1 + skip : at + 1 + skip + rows]
    ]
    return np.array(found)


def test_the_printed_numbers_are_those_of_training():
    state = init(SMALL_WORLD)
    for _ in range(120):
        state = step(state)
    e = explain_step(state, neuron=1)
    lines = render(e, check_gradient(state)).splitlines()
    half = 0.005001
    np.testing.assert_allclose(numbers_below(lines, "ξ ", 4), e.noise, atol=half)
    np.testing.assert_allclose(numbers_below(lines, "x⁺ ", 4), e.anchors, atol=half)
    np.testing.assert_allclose(numbers_below(lines, "x⁺⁺ ", 4), e.keys, atol=half)
    u_and_h = np.hstack([e.anchor_preactivations, e.anchor_features])
    np.testing.assert_allclose(numbers_below(lines, "u⁺ ", 4, skip=1), u_and_h, atol=half)
    softmax = np.hstack([e.similarity, e.probability, e.residual])
    np.testing.assert_allclose(numbers_below(lines, "S ", 4, skip=1), softmax, atol=half)
    table = numbers_below(lines, "w1 ", 4, skip=1)
    np.testing.assert_allclose(table[:, 3], e.coefficients[0][:, 1], atol=6e-5)
    for name, force in {
        "positive term": e.attraction,
        "negative term": e.repulsion,
        "decay": e.decay,
        "Δw": e.update,
    }.items():
        line = next(line for line in lines if line.startswith(name))
        shown = [0.0 if w == "·" else float(w) for w in NUMBER.findall(line[20:])]
        wanted = [*force.on_atoms[1], np.linalg.norm(force.dense[1])]
        np.testing.assert_allclose(shown, wanted, atol=6e-5)
    assert f"{e.loss.before:.5f}" in "\n".join(lines)


def test_a_silent_neuron_is_said_to_be_silent():
    state = init(SMALL_WORLD)
    for _ in range(120):
        state = step(state)
    off = np.argwhere(~explain_step(state).anchor_active)
    anchor, neuron = map(int, off[0])
    text = render(explain_step(state, neuron, anchor))
    assert f"p{anchor}: |u⁺| < b, w{neuron} is not active on it" in text


def test_steps_shows_one_line_a_neuron_and_the_winner(capsys):
    assert main(["step", "--steps", "90", "--every", "30"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line for line in lines if line.startswith("step ")]
    steps = [int(line.split()[1]) for line in heads]
    assert steps[0] == 0 and steps[-1] == 90 and 30 in steps
    # The start of a stage is shown even between the steps asked for.
    state = init(SMALL_WORLD)
    while state.stage == 1:
        state = step(state)
    assert state.step in steps
    assert sum(line.startswith(("w0 M0", "w1 M0", "w2 M0")) for line in lines) == 3 * len(heads)


def test_the_bars_show_the_cosines():
    state = init(SMALL_WORLD)
    cosine = explain_step(state).cosines
    for row, line in zip(cosine, state_lines(state)[1:]):
        blocks = re.findall(r"M\d ([^ ]{9})", line)
        shown = [
            (block.count("█") + " ▏▎▍▌▋▊▉".find(block.strip("█·") or " ") / 8) / 9
            for block in blocks
        ]
        np.testing.assert_allclose(shown, row, atol=0.5 / 72 + 1e-9)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--neuron", "3"], "neuron"),
        (["--anchor", "-1"], "anchor"),
        (["--at-step", "-2"], "--at-step"),
        (["--every", "0"], "--every"),
        (["--steps", "-1"], "--steps"),
        (["--set", "colour=red"], "colour"),
        (["--plot", "update.jpeg"], "--plot"),
    ],
)
def test_bad_input_is_one_clear_line(options, word, capsys):
    assert main(["step", *options]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and word in err


def command(*options):
    return [sys.executable, "-m", "featlearn", "step", *options]


def test_interactive_without_a_terminal_reads_lines():
    result = subprocess.run(
        command("--interactive"), input="n\n\nj\ne\nx\nq\nn\n", capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    steps = [int(n) for n in re.findall(r"^step (\d+)", result.stdout, re.M)]
    assert steps[:3] == [0, 1, 2] and len(steps) == 4
    assert re.search(rf"^step {steps[3]}\s+stage II ", result.stdout, re.M)
    assert f"Update {steps[3]} →" in result.stdout
    assert result.stderr.count("q quit") == 2


def test_interactive_ends_with_its_input():
    result = subprocess.run(command("--interactive"), input="n\n", capture_output=True, text=True)
    assert result.returncode == 0
    assert result.stdout.count("step ") == 2


class Terminal:
    """A command in a pseudo-terminal of 24 lines, worked by keys: a context manager."""

    def __init__(self, *options, lines=24):
        import fcntl
        import struct
        import termios

        self.parent, self.child = os.openpty()
        fcntl.ioctl(self.child, termios.TIOCSWINSZ, struct.pack("HHHH", lines, 80, 0, 0))
        self.settings, self.seen = termios.tcgetattr(self.child), ""
        environment = {k: v for k, v in os.environ.items() if k not in ("LINES", "COLUMNS")}
        self.process = subprocess.Popen(
            command(*options), stdin=self.child, stdout=self.child, stderr=self.child,
            env={**environment, "PYTHONIOENCODING": "utf-8"},
        )  # fmt: skip

    def press(self, key, after):
        """Press a key, without Enter, once a pattern is on the screen; return all that came."""
        part = b""
        while not re.search(after, part.decode(errors="ignore")):
            ready, _, _ = select.select([self.parent], [], [], 60)
            assert ready, f"no {after!r} after {part[-200:]}"
            part += os.read(self.parent, 4096)
        os.write(self.parent, key.encode())
        return part.decode()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.parent)
        os.close(self.child)


terminal = pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
LAST = r"w2 M0.*\n"  # a state's last line


@terminal
def test_interactive_takes_single_keys_in_a_real_terminal():
    import termios

    with Terminal("--interactive") as t:
        for step_shown, key in ((0, "n"), (1, "n"), (2, "q")):
            assert f"step {step_shown} " in t.press(key, LAST)
        assert t.process.wait(timeout=60) == 0
        assert termios.tcgetattr(t.child) == t.settings


@terminal
def test_an_explanation_comes_a_page_at_a_time_in_a_real_terminal():
    with Terminal("--interactive", lines=30) as t:
        t.press("e", LAST)
        # Another key is not heard: x here.
        first, second, again = (t.press(keys, "q end --") for keys in (" ", "xb", "q"))
        # The terminal may have echoed the key before the pager took it.
        first = first.removeprefix("e")
        assert first.startswith("Update 0") and "1  The samples" in first
        assert "1  The samples" not in second and again.endswith(first)
        assert first.count("\n") == 29
        t.press("n", r"\x1b\[K")
        assert "step 1 " in t.press("q", LAST)
        assert t.process.wait(timeout=60) == 0


def test_back_returns_to_what_was_shown_before_and_the_same_steps_follow():
    keys = "n\nj\nb\nb\nb\nn\nq\n"
    result = subprocess.run(command("--interactive"), input=keys, capture_output=True, text=True)
    shown = re.split(r"(?=^step )", result.stdout, flags=re.M)[1:]
    zero, one, later, one_again, zero_again, one_more = shown
    assert one_again == one == one_more and zero_again == zero and later not in (zero, one)
    assert result.stderr.count("nothing was shown before") == 1


def test_cells_and_bars():
    assert cell(0.0) == "   ·  "
    assert cell(-0.0001) == "  0.00"
    assert cell(-1.5) == " -1.50"
    assert bar(0.5, 4) == "██··" and bar(2, 3) == "███" and bar(0, 2) == "··"
    assert spark(0) == "·" and spark(1) == "█"
    assert matrix("A", [[0.001, -0.02]])[0] == "A  (1 × 2)  in 1e-2"
    wide = matrix("A", np.ones((9, 40)), keep=(8,))
    assert wide[-2].startswith("p8") and wide[-1].strip() == "… 3 more rows"
    assert max(map(len, wide)) <= 80 and wide[1].endswith("…")


@pytest.mark.parametrize("options", [[], ["--set", "negatives=5", "--set", "n_features=40"]])
def test_plot_draws_one_page_with_the_values_of_the_step(options, tmp_path, capsys):
    path = tmp_path / "update.png"
    size = ["--set", "n_inputs=60", "--set", "n_neurons=9"] if options else []
    assert main(["step", *options, *size, "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")
    assert str(path) in capsys.readouterr().err


def test_a_picture_may_end_in_capitals_and_an_error_names_it(tmp_path, capsys):
    path = tmp_path / "update.PNG"
    assert main(["step", "--plot", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG") and list(tmp_path.iterdir()) == [path]
    (tmp_path / "place.png").mkdir()
    assert main(["step", "--plot", str(tmp_path / "place.png")]) == 2
    assert "place.png: cannot be written (Is a directory)" in capsys.readouterr().err


def test_the_drawn_bars_are_the_forces():
    from featlearn.plotting.update import update

    e = explain_step(init(SMALL_WORLD), neuron=2)
    bars = [ax for figure in update(e).subfigs for ax in figure.axes if ax.containers]
    heights = [[bar.get_height() for bar in container] for container in bars[0].containers]
    for force, drawn in zip((e.attraction, e.repulsion, e.decay), heights):
        np.testing.assert_allclose(drawn, force.on_atoms[2])
    np.testing.assert_allclose(heights[3], np.sum(heights[:3], axis=0), atol=1e-12)
