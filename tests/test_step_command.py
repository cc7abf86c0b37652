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


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_interactive_takes_single_keys_in_a_real_terminal():
    import termios

    parent, child = os.openpty()
    before = termios.tcgetattr(child)
    process = subprocess.Popen(
        command("--interactive"), stdin=child, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    seen = b""
    try:
        for wanted, key in ((b"step 0 ", b"n"), (b"step 1 ", b"n"), (b"step 2 ", b"q")):
            # Each key is sent, without Enter, only after what it follows is on the screen.
            while wanted not in seen or seen.count(b"b/") % 3:
                ready, _, _ = select.select([process.stdout], [], [], 60)
                part = os.read(process.stdout.fileno(), 4096) if ready else b""
                assert part, f"no {wanted} after {seen[-200:]}"
                seen += part
            os.write(parent, key)
        assert process.wait(timeout=60) == 0
        assert termios.tcgetattr(child) == before
    finally:
        process.kill()
        process.communicate()
        os.close(parent)
        os.close(child)


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


def test_the_drawn_bars_are_the_forces():
    from featlearn.plotting.update import update

    e = explain_step(init(SMALL_WORLD), neuron=2)
    bars = [ax for figure in update(e).subfigs for ax in figure.axes if ax.containers]
    heights = [[bar.get_height() for bar in container] for container in bars[0].containers]
    for force, drawn in zip((e.attraction, e.repulsion, e.decay), heights):
        np.testing.assert_allclose(drawn, force.on_atoms[2])
    np.testing.assert_allclose(heights[3], np.sum(heights[:3], axis=0), atol=1e-12)
