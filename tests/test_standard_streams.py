"""The standard streams of a command: without Greek letters, full, left by their reader, or missing."""

import errno
import io
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

import featlearn
from featlearn.commands import main
from featlearn.commands.output import Output
from featlearn.recording.files import read_json
from featlearn.recording.rundir import read_status
from featlearn.reports.progress import Progress, StatusLines, SweepProgress
from featlearn.theory.claims.groups import Checked
from featlearn.theory.claims.verdict import at_most

pytestmark = pytest.mark.skipif(os.name != "posix", reason="terminals and pipes of Unix")


class Stream(io.StringIO):
    """A stream whose reader leaves, or whose disk is full, after so many characters."""

    encoding = "utf-8"

    def __init__(self, room, number):
        super().__init__()
        self.room, self.number = room, number

    def write(self, text):
        self.room -= len(text)
        if self.room < 0:
            raise OSError(self.number, os.strerror(self.number))
        return super().write(text)


def ended(*words):
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code


@pytest.mark.parametrize("encoding", ("ascii", "cp1252", "latin-1", "utf-8"))
def test_what_an_encoding_lacks_becomes_a_question_mark(encoding, monkeypatch, capsys):
    shown = io.BytesIO()
    for name in ("stdout", "stderr"):
        stream = io.TextIOWrapper(shown, encoding, newline="\n", write_through=True)
        monkeypatch.setattr(sys, name, stream)
    assert ended("step") == 0
    assert ended("run", "--help") == 0
    assert ended("run", "--set", "temperature=τ") == 2
    text = shown.getvalue().decode(encoding)
    assert "x⁺" in text or "x?" in text
    assert "got 'τ'" in text or "got '?'" in text


@pytest.fixture
def checks(monkeypatch):
    """What 'featlearn check' finds, without the time that it takes to find it."""

    def check_all(observed, *more):
        verdicts = [at_most("T1", f"quantity {k}", 2.0, k, "so it is") for k in range(4)]
        return [Checked("a title", [one.run for one in observed], verdicts)]

    monkeypatch.setattr("featlearn.theory.claims.groups.check_all", check_all)


@pytest.mark.parametrize("room", (0, 100, 300))
@pytest.mark.parametrize("number", (errno.EPIPE, errno.ENOSPC, errno.EIO))
def test_the_work_is_done_whatever_becomes_of_the_output(
    number, room, twins, checks, monkeypatch, capsys
):
    claims = twins[0] / "claims.json"
    claims.unlink(missing_ok=True)
    monkeypatch.setattr(sys, "stdout", Stream(room, number))
    code = ended("check", twins[0], "--quiet")
    assert code == (141 if number == errno.EPIPE else 1)
    assert read_json(claims)["reports"]
    said = capsys.readouterr().err
    assert said.count("\n") == (number != errno.EPIPE) and "Traceback" not in said
    if room == 0:
        monkeypatch.setattr(sys, "stdout", Stream(room, number))
        assert ended("run", "--help") == code


def test_a_progress_line_never_ends_a_run(small, tmp_path, monkeypatch):
    gone = Stream(200, errno.EIO)
    gone.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", gone)
    for progress in (Progress(small), SweepProgress()):
        assert progress._lines.shown
    small.replace(n_steps=20).save(tmp_path / "small.json")
    assert ended("run", "--config", tmp_path / "small.json", "--out", tmp_path / "run") == 0
    # Without the streams of a command too.
    gone.room = 100
    lines = StatusLines()
    for _ in range(20):
        lines.show(["a line"])
    assert not lines.shown


@pytest.mark.parametrize("columns", ("1", "20", "80"))
def test_a_status_line_stays_within_the_terminal(columns, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = SweepProgress()
    progress(0, 0, 3)
    progress(1, 0, 2)
    progress(3, 0, 0)
    lines = capsys.readouterr().err.rstrip("\n").split("\r")
    assert max(map(len, lines)) <= max(int(columns) - 1, 1)


def test_missing_streams_are_silent(monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert ended("step") == 0
    assert ended("step", "--interactive") == 0
    assert ended("run", "--fly") == 2
    assert (sys.stdin, sys.stdout, sys.stderr) == (None, None, None)


def test_an_output_is_like_the_stream_it_stands_for():
    with open(os.devnull, "w", encoding="ascii") as file:
        output = Output(file)
        assert output.fileno() == file.fileno() and output.encoding == "ascii"
        assert not output.isatty() and output.error is None
    output.write("closed by now")
    assert output.error is None


def test_a_run_whose_directory_may_only_be_read_is_checked_all_the_same(
    twins, checks, monkeypatch, capsys
):
    def refuse(path, value):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("featlearn.theory.claims.groups.write_json", refuse)
    with pytest.warns(UserWarning, match="claims.json is not written"):
        assert ended("check", twins[0]) == 1
    assert "a title" in capsys.readouterr().out


PIPES = """
import sys
sys.argv[0] = "featlearn"
from featlearn.commands import main
sys.exit(main())
"""


def shell(line, **options):
    """Run a shell's command line in which featlearn is $F; return exit code and stderr."""
    environment = {**os.environ, "F": sys.executable, "CODE": PIPES}
    line = "set -o pipefail; " + line.replace("featlearn", '"$F" -c "$CODE"')
    done = subprocess.run(
        ["bash", "-c", line], env=environment, capture_output=True, text=True, timeout=60, **options
    )
    return done.returncode, done.stderr


def test_real_streams(tmp_path):
    """Each once in a process of its own, which the interpreter's own last words could spoil."""
    assert shell("featlearn --version > /dev/full") == (
        1,
        "featlearn: the output cannot be written (No space left on device)\n",
    )
    assert shell("featlearn run --help | (exec 0<&-; sleep 1)") == (141, "")
    assert shell("featlearn step <&- >&- 2>&-") == (0, "")
    assert shell("featlearn step --steps 100000 | head -1") == (141, "")


def test_a_terminal_that_goes_away(small, tmp_path):
    """Its hang-up stops the run, with a checkpoint."""
    small.replace(n_steps=10**6, record_every=100).save(tmp_path / "long.json")
    words = ["run", "--config", str(tmp_path / "long.json"), "--out", str(tmp_path / "run")]
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-c", PIPES, *words])
    deadline = time.monotonic() + 60
    while b"steps/s" not in os.read(terminal, 10000):
        assert time.monotonic() < deadline
    os.close(terminal)
    while not (ended := os.waitpid(process, os.WNOHANG))[0]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert os.waitstatus_to_exitcode(ended[1]) == 130
    status = read_status(tmp_path / "run")
    assert status["status"] == "interrupted" and status["step"] > 0
    assert len(featlearn.load_run(tmp_path / "run")) > 0


def test_a_terminal_that_goes_away_from_a_run_that_does_not_heed_it(small, tmp_path):
    """As under nohup: the line is lost, the run is not."""
    small.replace(n_steps=600, record_every=1).save(tmp_path / "long.json")
    words = ["run", "--config", str(tmp_path / "long.json"), "--out", str(tmp_path / "run")]
    process, terminal = pty.fork()
    if process == 0:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        os.execv(sys.executable, [sys.executable, "-c", PIPES, *words])
    while b"steps/s" not in os.read(terminal, 10000):
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 141
    assert read_status(tmp_path / "run")["status"] == "complete"
