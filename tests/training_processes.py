"""Real processes that train, to be killed, starved or raced; each a fresh fork of a server."""

import multiprocessing
import os
import resource
import signal

import featlearn
from featlearn import loop
from featlearn.compute import processes, threads
from featlearn.recording import trajectory

_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["featlearn.commands", "training_processes"])


def share_among(n, monkeypatch):
    """Have n processes share every run, as if arrays were large and processors free.

    Returns a list to which the process numbers of a run's helpers are added when they start.
    """
    monkeypatch.setattr(threads, "thread_count", lambda: n)
    monkeypatch.setattr(threads, "WORTHWHILE", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(n))
    # Another test's threads may still be ending.
    monkeypatch.setattr(processes, "other_threads", lambda: [])
    started, start = [], processes.ProcessGroup.start

    def noted(self, work):
        start(self, work)
        started.extend(self.processes)

    monkeypatch.setattr(processes.ProcessGroup, "start", noted)
    return started


def _live(experiment, directory, options):
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    # So often that a random instant is likely to be in the middle of a write.
    loop.CHECKPOINT_SECONDS = options.get("checkpoint", 0.004)
    trajectory.FLUSH_SECONDS = 0.0
    # Some rows are written at once, others gathered.
    trajectory.LARGE_BYTES = 64
    if "die_after" in options:
        # Seconds of its own work, whatever else the machine does. Nothing handles this signal: the
        # kernel ends the process between two instructions, as by kill -9.
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, max(options["die_after"], 1e-6))
    if "largest_file" in options:
        resource.setrlimit(resource.RLIMIT_FSIZE, (options["largest_file"],) * 2)
    resume = (directory / "config.json").exists()
    try:
        featlearn.train(experiment, directory, resume=resume)
    except KeyboardInterrupt:
        os._exit(130)
    except featlearn.FeatlearnError:
        os._exit(2)
    os._exit(0)


def start(experiment, directory, **options):
    """Start a process that runs, or resumes, an experiment in a directory."""
    process = _server.Process(target=_live, args=(experiment, directory, options))
    process.start()
    return process


def end(process):
    """Wait for a process and return its exit code."""
    process.join(60)
    return process.exitcode
