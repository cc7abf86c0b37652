"""What a run is said to need against what it takes."""

import gc
import signal
import tracemalloc

import numpy as np
import pytest

import featlearn
from featlearn.compute import processes
from featlearn.recording import resources

BASE = featlearn.Experiment(
    n_features=16, n_inputs=256, n_neurons=64, batch_size=256, n_steps=40, bias_cap=0.6
)
LABELS = dict(objective="supervised", augmentation="none")
CASES = {
    "as it is": {},
    "many rows": dict(n_steps=400, n_neurons=32, batch_size=64),
    "wide": dict(n_inputs=2048, batch_size=64),
    "large batch": dict(batch_size=1024),
    "both ways": dict(stop_gradient=False),
    "separate": dict(negatives=512),
    "float64": dict(dtype="float64"),
    "no augmentation": dict(augmentation="none"),
    "spectral": dict(objective="spectral"),
    "labels": LABELS,
    "many tasks": dict(**LABELS, n_tasks=4096, n_steps=3),
    "values of many tasks": dict(**LABELS, n_tasks=4096, n_steps=3, task="regression"),
    "a large head": dict(**LABELS, n_tasks=16384, batch_size=8, n_steps=3),
    "large tasks": dict(
        **LABELS, n_tasks=8192, n_features=128, n_neurons=8, batch_size=8, n_steps=3
    ),
    "labels that leak": dict(**LABELS, label_leak=0.3, n_tasks=256, n_inputs=8192, n_steps=3),
    "all 2B views": dict(objective="nt_xent", batch_size=1024, n_steps=3),
    "unit rows": dict(objective="nt_xent", n_neurons=1024, n_steps=3, stop_gradient=False),
    "no negatives": dict(objective="no_negatives", batch_size=4096, n_steps=3),
    "a square head": dict(
        objective="no_negatives", n_neurons=1024, n_steps=3, prediction_head=True
    ),
    "data set": dict(n_samples=20000, n_steps=3),
    "narrow data set": dict(n_samples=20000, n_inputs=32, n_steps=3),
    "data set in float64": dict(n_samples=20000, n_steps=3, dtype="float64"),
    "data set with spikes": dict(n_samples=20000, n_steps=3, noise_spikes=4, spike_variance=0.1),
}


@pytest.mark.parametrize("name", CASES)
def test_memory_is_what_was_said(name, monkeypatch):
    # Arrays that several processes share are not traced.
    monkeypatch.setattr(processes, "LARGEST", 1)
    e = BASE.replace(**CASES[name])
    # What is imported on the way is not the run's.
    featlearn.train(e.replace(n_steps=0))
    # Objectives are kept, with the tasks of one.
    featlearn.objectives.make_objective.cache_clear()
    tracemalloc.start()
    # Nor are small objects that Python frees now and then.
    featlearn.train(e, progress=lambda row: row["step"] % 50 or gc.collect())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 0.85 * peak < resources.memory_needed(e, in_memory=True) < 1.5 * peak
    assert resources.memory_needed(e) < resources.memory_needed(e, in_memory=True)


@pytest.mark.parametrize("more", ({}, dict(record_every=7), dict(**LABELS, n_tasks=512)))
def test_the_disk_holds_what_was_said(tmp_path, more):
    e = BASE.replace(**more)
    featlearn.train(e, tmp_path / "run")
    taken = sum(p.stat().st_size for p in (tmp_path / "run").rglob("*.np?"))
    assert 0.8 * taken < resources.disk_needed(e) < 1.5 * taken + 2 * 64 * 256 * 4


@pytest.mark.parametrize("n_steps, every", [(0, 1), (0, 3), (7, 1), (7, 3), (9, 3), (3, 7)])
def test_rows_are_counted_without_listing_them(n_steps, every):
    e = BASE.replace(n_steps=n_steps, record_every=every)
    recorded = [t for t in range(n_steps + 1) if t % every == 0 or t == n_steps]
    for step in range(n_steps + 2):
        assert featlearn.trajectory.rows_before(e, step) == sum(t < step for t in recorded)


def test_too_little_room_is_refused_with_both_numbers(monkeypatch, tmp_path):
    needed = resources.memory_needed(BASE, in_memory=True)
    monkeypatch.setattr(resources, "available_memory", lambda: needed - 1)
    with pytest.raises(featlearn.InvalidInput) as caught:
        featlearn.train(BASE)
    assert f"needs {needed} bytes of memory, {needed - 1} are available" in str(caught.value)
    monkeypatch.setattr(resources, "available_memory", lambda: needed)
    assert len(featlearn.train(BASE)) == 41

    class Usage:
        total, free = 10**9, resources.disk_needed(BASE) - 1

    monkeypatch.setattr(resources.shutil, "disk_usage", lambda place: Usage)
    with pytest.raises(featlearn.InvalidInput, match=f" {Usage.free} are available"):
        featlearn.train(BASE, tmp_path / "a" / "run")
    assert not list(tmp_path.iterdir())


def test_what_a_run_has_written_counts_as_room(monkeypatch, tmp_path):
    def stop(row):
        if row["step"] == 30:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        featlearn.train(BASE, tmp_path / "run", progress=stop)

    class Usage:
        total, free = 10**9, resources.disk_needed(BASE) * 2 // 5

    monkeypatch.setattr(resources.shutil, "disk_usage", lambda place: Usage)
    assert len(featlearn.train(None, tmp_path / "run", resume=True)) == 41


def test_the_memory_of_this_machine_is_plausible():
    assert 10**7 < resources.available_memory() < 10**14
    assert isinstance(resources.memory_needed(BASE), int)
    assert np.isfinite(resources.disk_needed(BASE))
