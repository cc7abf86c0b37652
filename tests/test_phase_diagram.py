"""The phase diagram's script, at its quick size."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from featlearn import InvalidInput
from featlearn.plotting import decoupling_diagram
from featlearn.sweeps.results import load_results

SCRIPT = Path(__file__).parent.parent / "scripts" / "phase_diagram.py"


def test_the_script_writes_its_table_and_figure(tmp_path, capsys):
    script = runpy.run_path(SCRIPT)
    out = tmp_path / "figures"
    arguments = ["--quick", "--out", str(out), "--rows", str(tmp_path / "rows"), "--workers", "1"]
    assert script["main"](arguments) == 0
    written = [out / f"phase_diagram.{kind}" for kind in ("csv", "png", "pdf")]
    assert capsys.readouterr().out.split() == [str(path) for path in written]
    table = load_results(written[0])
    assert len(table) == sum(map(len, script["panels"](quick=True).values()))
    noise = table[table["panel"] == "noise"]
    quiet = noise["sparse_share"][noise["noise_factor"] == noise["noise_factor"].min()]
    loud = noise["sparse_share"][noise["noise_factor"] == noise["noise_factor"].max()]
    assert quiet.min() > 0.8 > 0.3 > loud.max()
    with pytest.raises(InvalidInput, match="phase table"):
        decoupling_diagram(noise)


def test_the_full_grid_is_as_large_as_promised():
    groups = runpy.run_path(SCRIPT)["panels"]()
    noise = groups["noise"]
    points = {(e.noise_factor, e.noise_correlation) for e in noise}
    assert len(points) >= 12 * 12 and len(noise) == 3 * len(points)
    assert {(e.n_features, e.n_inputs) for e in groups["large"]} == {(32, 1024)}
    assert len(groups["large"]) >= 6
    assert np.ptp([e.noise_correlation for e in noise]) == 1
