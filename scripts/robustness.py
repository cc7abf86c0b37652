"""Try to break featlearn at random, and count: killed processes, command lines, experiments.

examples:
  python scripts/robustness.py
  python scripts/robustness.py --only kills --kills 50 --seed 1
  python scripts/robustness.py --quick

kills: real processes of run, sweep and reproduce get signals at random moments (kill -9, Ctrl-C, SIGTERM
once and twice, a closed terminal, a batch system's warning), are stopped for a while, or lose a helper or
a worker process; the same command goes on until it is done. Each must end in time with an exit code that
it promises, without a traceback, leave no process and no semaphore behind, and reach the bytes of a run
that was left alone. Command lines and experiments are put together from right, wrong and odd values: each
must be done, or refused in one line. The exit code is 1 if anything went wrong.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import io
import multiprocessing
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from concurrent.futures import Future
from pathlib import Path

import featlearn
from featlearn import presets
from featlearn.commands import COMMANDS, build_parser
from featlearn.commands import main as command
from featlearn.compute.interrupts import interruptible
from featlearn.errors import InvalidInput, TrainingDiverged
from featlearn.recording.resources import memory_needed

EXIT_CODES = (0, 1, 2, 130, 141)
SMALL = featlearn.Experiment(
    n_features=4, n_inputs=16, n_neurons=6, batch_size=8, n_steps=4, bias_cap=0.7
)
# Large enough for a life of some seconds, with all stages in it.
LIVING = SMALL.replace(
    batch_size=64, n_steps=1500, learning_rate=1.0, stage_one_growth=1.2, bias_growth=1.02
)
MARK = "FEATLEARN_ROBUSTNESS"
SECONDS = 120.0

ODD = (
    0, 1, 2, 3, 7, 64, -1, 0.5, 1.0, 1.5, -0.25, 1e-3, 1e-30, 1e30, 1e400, float("nan"), 2**31, 2**63,
    None, True, False, "", "none", "x", "τ", [], [1], {}, "1", b"1", 3 + 4j,
)  # fmt: skip


class Findings:
    """Counts of what was tried, and a line about everything that went wrong."""

    def __init__(self):
        self.counts, self.faults = Counter(), []

    def fault(self, what, where):
        self.faults.append(f"{what}: {where}")

    def __str__(self):
        lines = [f"{count:7} {name}" for name, count in sorted(self.counts.items())]
        lines += [f"FAULT {fault}" for fault in self.faults[:40]]
        return "\n".join([*lines, f"{len(self.faults):7} faults"])


def choices_of(field):
    """The words among which a field of an experiment wants one, as far as its message tells."""
    wanted = field.metadata["wanted"]
    text = wanted("") if callable(wanted) else wanted
    return text.removeprefix("one of ").split(", ") if text.startswith("one of ") else []


def fuzz_experiments(n, rng, findings, folder=None):
    """Make n experiments of odd values; train those that are accepted for a few steps."""
    fields = dataclasses.fields(featlearn.Experiment)
    for _ in range(n):
        values = {}
        for field in rng.sample(fields, rng.choice((1, 1, 2, 3, 5))):
            pool = choices_of(field) or (ODD if rng.random() < 0.5 else ODD[:13])
            values[field.name] = rng.choice(pool if rng.random() < 0.9 else ODD)
        findings.counts["experiments"] += 1
        try:
            made = featlearn.Experiment.from_dict({**SMALL.to_dict(), **values})
            made = made.replace(n_steps=min(made.n_steps, 4))
            if memory_needed(made, in_memory=True) > 2e7:
                findings.counts["experiments: accepted, large"] += 1
                continue
            featlearn.train(made)
            findings.counts["experiments: trained"] += 1
        except InvalidInput as error:
            findings.counts["experiments: refused"] += 1
            if "\n" in str(error) or len(str(error)) > 600:
                findings.fault("message", values)
        except TrainingDiverged:
            findings.counts["experiments: diverged"] += 1
        except Exception as error:
            findings.fault(f"{type(error).__name__} ({error})", values)


class Inline:
    """In place of worker processes: the calls are made at once, in this process."""

    def __init__(self, n):
        self.executors, self.processes = [self] * n, []

    default = staticmethod(lambda: 1)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


@contextlib.contextmanager
def made_small():
    """Let presets be small, figures few, and workers part of this process, so that lines take no time."""
    from featlearn.commands import reproduce
    from featlearn.images import sources
    from featlearn.plotting import gallery
    from featlearn.reports.reproduction import Part, twin_columns
    from featlearn.sweeps import sweep

    def unwatched(directory, picture):
        raise InvalidInput("--watch", picture, "no watching here")

    def unseen(*arguments, **keywords):
        raise InvalidInput("images", arguments, "no images here")

    from featlearn.commands import run

    kept = dict(presets.PRESETS), dict(gallery.GALLERY)
    changed = [(reproduce, "OwnWorkers", Inline), (sweep, "OwnWorkers", Inline)]
    changed += [(run, "Watcher", unwatched)]
    # Of these, which take minutes, the arguments alone are tried.
    changed += [(sources, "image_model", unseen)]
    changed += [(reproduce, "all_parts", lambda e, out: [Part("", twin_columns(e), out)])]
    before = [getattr(module, name) for module, name, _ in changed]
    for module, name, value in changed:
        setattr(module, name, value)
    for name in list(presets.PRESETS):
        presets.PRESETS[name] = SMALL
    for name in list(gallery.GALLERY)[1:]:
        del gallery.GALLERY[name]
    try:
        yield
    finally:
        presets.PRESETS.update(kept[0])
        gallery.GALLERY.update(kept[1])
        for (module, name, _), value in zip(changed, before):
            setattr(module, name, value)


def make_files(folder):
    """Good and bad files and directories for command lines to name; return their names."""
    SMALL.save(folder / "small.toml")
    SMALL.save(folder / "small.json")
    (folder / "UPPER.TOML").write_bytes(b"\xef\xbb\xbfn_steps = 3\nn_features = 4\nbias_cap = .7\n")
    (folder / "wrong.toml").write_text("seed = 'three'\n")
    (folder / "broken.toml").write_text("seed = \n")
    (folder / "grid.toml").write_text("[base]\npreset = 'tiny'\n[grid]\nseed = [0, 1]\n")
    (folder / "odd.toml").write_text("[base]\npreset = [1]\n[grid]\nseed = {}\n")
    (folder / "numbers.yaml").write_text("seed: 3\n")
    (folder / "empty").mkdir()
    featlearn.train(SMALL, folder / "run")
    featlearn.train(SMALL.replace(augmentation="none"), folder / "twin")
    shutil.copytree(folder / "run", folder / "hurt")
    (folder / "hurt" / "checkpoint.npz").write_bytes(b"PK")
    return [path.name for path in folder.iterdir()] + ["absent", "", "/proc/nowhere", "a\nb", "τ"]


WORDS = (
    "0", "1", "2", "3", "-1", "1e1", ".5", "+1", "1.", "nan", "1e999", "9" * 50, "x", "", "none", "True",
    "τ", "\udcff", "--", "-", "=", "a=b", "seed=1,2", "seed=0,x", "temperature=.5", "lr=1", "n_steps=2",
    "out.gif", "out.png", "out.html", "new", "losses", "png", "tiny", "quick", "tcp://127.0.0.1:1",
)  # fmt: skip


def random_line(rng, names):
    """A subcommand with some of its options and arguments, right, wrong or mangled."""
    parsers = next(a for a in build_parser()._actions if isinstance(a.choices, dict)).choices
    name = rng.choice(COMMANDS)
    words, fields = [name], [f.name for f in dataclasses.fields(featlearn.Experiment)]
    actions = [action for action in parsers[name]._actions if action.dest != "scheduler"]
    for action in rng.sample(actions, rng.randint(0, min(4, len(actions)))):
        if action.option_strings:
            words.append(rng.choice(action.option_strings))
        if action.dest in ("set", "grid") and rng.random() < 0.8:
            words.append(f"{rng.choice(fields)}={rng.choice(WORDS)}")
        elif action.nargs != 0 and rng.random() < 0.95:
            right = list(action.choices or ())
            if action.dest in ("runs", "run", "resume", "config", "file", "directory"):
                right = names
            words += rng.choices(right or WORDS, k=rng.choice((1, 1, 1, 2)))
    if rng.random() < 0.4:
        words += rng.choices([*names, *WORDS], k=rng.randint(1, 2))
    if rng.random() < 0.3 and words:
        place = rng.randrange(len(words))
        word = words[place]
        cut = rng.randint(0, len(word))
        words[place] = word[:cut] + rng.choice(("", "x", "-", "=", "é", " ")) + word[cut + 1 :]
    return words


class Hang(BaseException):
    """A command line that took too long."""


def fuzz_command_lines(n, rng, findings, folder):
    """Run n random command lines in this process."""
    names = make_files(folder)

    def late(number, frame):
        raise Hang

    previous = signal.signal(signal.SIGALRM, late)
    home = os.getcwd()
    os.chdir(folder)
    try:
        with made_small():
            for _ in range(n):
                run_line(random_line(rng, names), findings)
                findings.counts["command lines"] += 1
    finally:
        os.chdir(home)
        signal.signal(signal.SIGALRM, previous)


def run_line(words, findings):
    """Run one command line, and see that it ends as it may."""
    before = sys.stdin, sys.stdout, sys.stderr
    streams = sys.stdin, sys.stdout, sys.stderr = io.StringIO("n\nj\nq\n"), *map(_text, (0, 0))
    signal.alarm(int(SECONDS))
    try:
        code = command(words)
    except SystemExit as stop:
        code = stop.code or 0
    except BaseException as error:
        code = f"{type(error).__name__} ({error})"
    finally:
        signal.alarm(0)
        sys.stdin, sys.stdout, sys.stderr = before
    for stream in streams[1:]:
        stream.flush()
    out, said = (stream.buffer.getvalue().decode() for stream in streams[1:])
    findings.counts[f"command lines: exit {code}"] += code in EXIT_CODES
    if code not in EXIT_CODES or "Traceback" in said:
        findings.fault(f"exit {code}", words)
    elif code == 2 and (said.count("\n") != 1 or not said.startswith("featlearn") or out):
        findings.fault(f"refused in {said.count(chr(10))} lines", words)


def _text(_):
    return io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")


def live(words, folder, threads):
    """Be the process of a command, alone with it, whose output goes to a file."""
    from featlearn.compute import threads as computing
    from featlearn.plotting import gallery

    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else 0)
    os.setsid()
    os.environ["OPENBLAS_NUM_THREADS"] = str(threads)
    computing.WORTHWHILE = 1
    for name in list(gallery.GALLERY)[1:]:
        del gallery.GALLERY[name]
    sys.argv = ["featlearn", *words]
    (folder / "started").touch()
    os._exit(command())


WAYS = {
    "kill -9": [signal.SIGKILL],
    "Ctrl-C": [signal.SIGINT],
    "Ctrl-C twice": [signal.SIGINT, signal.SIGINT],
    "SIGTERM": [signal.SIGTERM],
    "SIGTERM twice": [signal.SIGTERM, signal.SIGTERM],
    "SIGHUP": [signal.SIGHUP],
    "SIGUSR1, then kill -9": [signal.SIGUSR1, signal.SIGKILL],
    "stopped, then kill -9": [signal.SIGSTOP, signal.SIGKILL],
    "stopped and continued, then SIGTERM": [signal.SIGSTOP, signal.SIGCONT, signal.SIGTERM],
    "a child killed": "child SIGKILL",
    "a child stopped, then SIGTERM": "child SIGSTOP",
    "the whole group": "group SIGTERM",
}


def children(process):
    """Process numbers of the children of a process."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[1]) == process and fields[0] != "Z":
                found.append(int(path.parent.name))
    return found


def marked():
    """Process numbers of all processes that these lives have started, other than this one's."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            number = int(path.parent.name)
            running = (path.parent / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
            if running and f"{MARK}={os.getpid()}".encode() in path.read_bytes():
                found.append(number)
    return found


def attack(process, way, rng):
    """Send a process what a way to end it says."""
    with contextlib.suppress(ProcessLookupError):
        if isinstance(way, list):
            for number in way:
                os.kill(process, number)
                time.sleep(rng.uniform(0, 0.05))
            return
        whom, name = way.split()
        number = getattr(signal, name)
        if whom == "group":
            os.killpg(process, number)
            return
        for child in rng.sample(found := children(process), min(1, len(found))):
            os.kill(child, number)
        if number == signal.SIGSTOP:
            time.sleep(rng.uniform(0, 0.1))
            os.kill(process, signal.SIGTERM)
            time.sleep(0.5)
            # What stopped a worker of a sweep is not the sweep's to undo.
            for child in children(process):
                os.kill(child, signal.SIGCONT)


def contents(folder):
    """Digests of what must not depend on how often a command was stopped."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".npy" or path.name in ("checkpoint.npz", "results.csv"):
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def commands_to_kill(folder, name, number):
    """The command line of a life, as it is begun and gone on with, and the directory it writes."""
    out = folder / f"{name}-{number}"
    config = str(folder / f"{name}.json")
    if name == "run":
        begin = ["run", "--config", config, "--out", str(out), "--quiet"]
        return (
            lambda: (
                ["run", "--resume", str(out), "--quiet"]
                if (out / "config.json").exists()
                else begin
            ),
            out,
        )
    if name == "sweep":
        words = ["sweep", "--config", config, "--grid", "seed=0,1,2", "--workers", "2", "--quiet"]
    else:
        words = ["reproduce", "--config", config, "--quiet"]
    return lambda: [*words, "--out", str(out)], out


def kill_lives(n, rng, findings, folder, names=("run", "run", "run", "sweep", "reproduce")):
    """Kill processes until n of them have been killed; see each command through to its end."""
    semaphores = set(Path("/dev/shm").glob("sem.*"))
    os.environ[MARK] = str(os.getpid())
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["featlearn.commands", "featlearn.plotting", "__main__"])
    for name, steps in (("run", LIVING.n_steps), ("sweep", 300), ("reproduce", 600)):
        LIVING.replace(n_steps=steps).save(folder / f"{name}.json")
    expected, longest, number = {}, {}, 0

    def one_life(words, way=None, delay=0.0):
        """Return whether it came to its end, and its exit code."""
        (folder / "started").unlink(missing_ok=True)
        life = server.Process(target=live, args=(words, folder, 2 if words[0] == "run" else 1))
        life.start()
        while not (folder / "started").exists() and life.is_alive():
            time.sleep(0.002)
        if way is not None:
            life.join(delay)
            hit = life.is_alive()
            if hit:
                attack(life.pid, WAYS[way], rng)
                findings.counts["kills"] += 1
                findings.counts[f"kills: {words[0]}, {way}"] += 1
        life.join(SECONDS)
        if life.is_alive():
            findings.fault("hang", (words, way))
            os.killpg(life.pid, signal.SIGKILL)
            life.join()
        return life.exitcode

    while findings.counts["kills"] < n:
        name, number = rng.choice(names), number + 1
        if name not in expected:
            words, out = commands_to_kill(folder, name, "whole")
            started = time.monotonic()
            one_life(words())
            longest[name] = time.monotonic() - started
            expected[name] = contents(out)
        words, out = commands_to_kill(folder, name, number)
        for _ in range(12):
            way = rng.choice(list(WAYS))
            killed = findings.counts["kills"]
            code = one_life(words(), way, rng.uniform(0, longest[name]))
            longest[name] *= 1.1 if findings.counts["kills"] > killed else 0.8
            ended = code in EXIT_CODES or (code == -signal.SIGKILL and "-9" in way)
            if not ended:
                findings.fault(f"exit {code}", (words(), way))
            if code == 0 or (code == 1 and name == "reproduce" and (out / "figures").exists()):
                break
        one_life(words())
        findings.counts["kills: commands seen to their end"] += 1
        if contents(out) != expected[name]:
            findings.fault("other bytes", out)
        shutil.rmtree(out, ignore_errors=True)
    if "Traceback" in (said := (folder / "log").read_text(errors="replace")):
        findings.fault("traceback", said[said.index("Traceback") :][-1500:])
    deadline = time.monotonic() + 10
    while (left := _left(server)) and time.monotonic() < deadline:
        time.sleep(0.1)
    if left:
        findings.fault("processes left", left)
    if more := set(Path("/dev/shm").glob("sem.*")) - semaphores:
        findings.fault("semaphores left", more)


def _left(server):
    from multiprocessing import forkserver, resource_tracker

    own = {forkserver._forkserver._forkserver_pid, resource_tracker._resource_tracker._pid}
    return set(marked()) - own


def main(argv=None):
    """Try everything asked for, and print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=("kills", "lines", "experiments"), action="append")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--lines", type=int, default=2000)
    parser.add_argument("--experiments", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="a hundredth of everything")
    arguments = parser.parse_args(argv)
    share = 100 if arguments.quick else 1
    rng, findings = random.Random(arguments.seed), Findings()
    warnings.simplefilter("ignore")
    kinds = {"experiments": fuzz_experiments, "lines": fuzz_command_lines, "kills": kill_lives}
    try:
        with interruptible():
            for name in arguments.only or kinds:
                with tempfile.TemporaryDirectory() as folder:
                    n = -(-getattr(arguments, name) // share)
                    kinds[name](n, rng, findings, Path(folder))
    finally:
        print(findings)
    return int(bool(findings.faults))


if __name__ == "__main__":
    sys.exit(main())
