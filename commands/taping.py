"""Record a task while it runs, and run a recorded one again without anything outside."""

from __future__ import annotations

import contextlib
import itertools
import os
import shlex
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

from commands.flags import Common, as_names
from lib import outside
from lib.drawing import measure_width
from lib.errors import InputError, Refused
from lib.inputs import jobs
from lib.operators import Level, Note
from lib.recordings.checkout import Checkout
from lib.recordings.codec import decode
from lib.recordings.recorder import Listener, Recorder
from lib.recordings.recordings import CHECKOUT, Recording

if TYPE_CHECKING:
    from commands.target import Target
    from lib.terminal.console import Console

#: What of the environment decides where calls go, and how a terminal is drawn on.
_SETTINGS = ("AWS_ENDPOINT_URL", "TERM")

#: What of the environment would decide here, were it left in place.
_DECIDING = ("AWS_", "TERM", "GITHUB_STEP_SUMMARY")

#: Where CI keeps the recordings of runs that failed.
FAILURES = "PLOT_PALETTE_RECORD_FAILURES"

#: A longer value of a flag names no file.
_LONGEST_PATH = 1024

#: How deep the checkout of a replay lies, for what was named as `../../file`.
_DEPTH = "one/two/three/four"


@contextlib.contextmanager
def record(
    target: Target, chosen: Common, given: Mapping[str, Any], key: str, name: str
) -> Iterator[Recorder]:
    """Have everything that a run is told written into `--record`'s file.

    The streams of the console are listened to, and its person's replies. Raises `InputError`
    for a file that is there already or cannot be written.
    """
    with (
        _create(Path(chosen.record or "")) as stream,
        _follow(target, chosen, given, key, name, stream) as recorder,
    ):
        yield recorder


@contextlib.contextmanager
def hold(
    target: Target, chosen: Common, given: Mapping[str, Any], key: str, name: str
) -> Iterator[Recorder]:
    """Have everything that a run is told held in memory, for who wants it once the run failed.

    Unlike in a run that is recorded at once, a clock on the terminal goes on between two answers:
    what it shows there is drawn by a thread that has no tape, and not recorded.
    """
    with _follow(target, chosen, given, key, name, None) as recorder:

        def now() -> float:
            return outside.monotonic() if outside.is_taped() else recorder.seconds()

        target.console.now, target.console.ticks = now, True
        yield recorder


@contextlib.contextmanager
def _follow(
    target: Target,
    chosen: Common,
    given: Mapping[str, Any],
    key: str,
    name: str,
    stream: TextIO | None,
) -> Iterator[Recorder]:
    """Have a recorder between a run and the outside, which writes to a stream or holds."""
    flags = {"common": asdict(replace(chosen, record=None, record_hide=None)), "own": dict(given)}
    named = [one for part in flags.values() for one in part.values() if _is_file(one)]
    artifacts = [one for one in target.artifacts.values() if one and Path(one).is_dir()]
    recorder = Recorder(stream, Checkout(target.root, named), datetime.now(UTC))
    head = {
        "task": key,
        "name": name,
        "flags": {**flags, "record": chosen.record},
        "named": named,
        "folders": artifacts,
        "commit": jobs.read_commit(target.root) if stream else "",
    }
    recorder.begin({**head, **_describe(target)}, as_names(chosen.record_hide))
    _listen(target.console, recorder)
    recorder.hide(
        os.environ.get(name, "") for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    )
    _heed_interrupts(recorder)
    with outside.through(recorder):
        yield recorder


def is_held(console: Console, chosen: Common) -> bool:
    """Tell whether a run is held in memory: somebody can be asked, or CI keeps what fails."""
    is_asked = console.interactive and not console.yes and not chosen.json
    return is_asked or bool(os.environ.get(FAILURES))


def offer(target: Target, recorder: Recorder, name: str) -> None:
    """Keep the recording of a run that failed, where a person or CI wants it.

    It lies beside the run's log, or in the folder that CI names.
    """
    console, folder = target.console, os.environ.get(FAILURES)
    if not recorder.has_calls:
        return
    if not recorder.is_whole:
        text = "This run was too long to be held in memory; --record FILE writes one as it goes."
        console.report(Note(text, Level.INFO))
        return
    if not folder and not _wants_one(console):
        return
    log = target.journal.path if target.journal else Path(f"{outside.now():%Y%m%d-%H%M%S}-{name}")
    path = _find_free(Path(folder) if folder else log.parent, log.stem)
    try:
        with _create(path) as stream:
            recorder.keep(stream, jobs.read_commit(target.root))
    except InputError as exc:
        console.report(Note(exc.message, Level.WARNING))
        return
    shown = os.path.relpath(path)
    tell(console, str(path) if shown.startswith("..") else shown)


def _wants_one(console: Console) -> bool:
    """Ask; Ctrl-C is a no, and the run ends with the exit code that it has anyway."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return console.confirm(
            "Keep a recording of this run, without secrets, to show to others?", "y"
        )
    except KeyboardInterrupt:
        return False
    finally:
        signal.signal(signal.SIGINT, before)


def _find_free(folder: Path, stem: str) -> Path:
    """Return the name of a file that is not there yet, in a folder that is made where it can be."""
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
    paths = (folder / f"{name}.jsonl" for name in names)
    return next(path for path in paths if not path.exists())


def _heed_interrupts(recorder: Recorder) -> None:
    """Have the recorder learn of Ctrl-C and SIGTERM, which wait until it has written."""

    def interrupt(*_: object) -> None:
        if recorder.interrupt():
            raise KeyboardInterrupt

    for interruption in (signal.SIGINT, signal.SIGTERM):
        signal.signal(interruption, interrupt)


def _is_file(value: Any) -> bool:
    """Tell whether a flag names a file."""
    is_short = isinstance(value, str) and 0 < len(value) < _LONGEST_PATH
    return is_short and Path(value).is_file()


def _create(path: Path) -> TextIO:
    """Open a new file that its owner alone may read."""
    try:
        opened = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise InputError(
            f"There is a file {path} already, and a recording writes over nothing.",
            next_step="name another file",
        ) from None
    except OSError as exc:
        raise InputError(f"No recording can be written to {path}: {exc.strerror}.") from None
    return os.fdopen(opened, "w", encoding="utf-8", errors="backslashreplace")


def _describe(target: Target) -> dict[str, Any]:
    """Return what else a run shows and asks by."""
    console = target.console
    here = Path.cwd()
    inside = here.is_relative_to(target.root)
    return {
        "console": {
            name: getattr(console, name) for name in ("colour", "redraw", "interactive", "github")
        },
        "columns": measure_width(),
        "lines": shutil.get_terminal_size(fallback=(80, 24)).lines,
        "folder": str(here.relative_to(target.root)) if inside else ".",
        "settings": {
            name: value for name, value in os.environ.items() if name.startswith(_SETTINGS)
        },
    }


def _listen(console: Console, recorder: Recorder) -> None:
    """Have the recorder hear what a console writes and is told."""
    console.out = cast("TextIO", Listener(console.out, lambda text: recorder.show("out", text)))
    console.err = cast("TextIO", Listener(console.err, lambda text: _hear(recorder, text)))
    console.source = cast("TextIO", Replies(console.source))


def _hear(recorder: Recorder, text: str) -> None:
    """Have the recorder learn what is shown, but for a clock that goes on between two answers."""
    if outside.is_taped():
        recorder.show("err", text)


@dataclass(frozen=True)
class Replies:
    """What a person types, which passes through the tape."""

    source: TextIO | None

    def readline(self) -> str:
        """Return the next line that was typed, now or when it was recorded."""
        return outside.ask("reply", {}, lambda: self.source.readline() if self.source else "")


def tell(console: Console, path: str) -> None:
    """Say where the recording is, and what it is for; a replay shows the same."""
    told = f"Recorded in {path}, with accounts, addresses and secrets replaced; read it before"
    console.report(Note(f"{told} you send it.", Level.INFO))
    console.line(f"  Next: inv rescue.replay {shlex.quote(path)}")


@dataclass(frozen=True)
class Place:
    """Where a replay has the recorded machine's files: its checkout, and what lay elsewhere."""

    folder: Path
    root: Path
    elsewhere: Path

    @classmethod
    def below(cls, folder: Path) -> Place:
        """Return the places in a folder that is empty."""
        return cls(folder, folder / _DEPTH / "checkout", folder / "elsewhere")

    def find(self, name: str, folder: str) -> Path:
        """Return where a recorded file stands, by the name that it was recorded under."""
        if name.startswith(f"{CHECKOUT}/"):
            return self.root / name.removeprefix(f"{CHECKOUT}/")
        if name.startswith("/"):
            return self.elsewhere / name[1:]
        return self.root / folder / name

    def cover(self, value: Any) -> Any:
        """Return a value of JSON with the paths that the recorded machine had."""
        if isinstance(value, str):
            return value.replace(str(self.root), CHECKOUT).replace(str(self.elsewhere), "")
        if isinstance(value, list):
            return [self.cover(item) for item in value]
        if isinstance(value, dict):
            return {key: self.cover(item) for key, item in value.items()}
        return value


@contextlib.contextmanager
def lay_out(recording: Recording) -> Iterator[Place]:
    """Put the recorded files into a folder for the time of a replay, and go there.

    The working folder, the width of the terminal and the settings of AWS are those of the
    recorded run meanwhile, whatever they are here.
    """
    before, environ = Path.cwd(), dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="plot-palette-replay-") as made:
        place = Place.below(Path(made).resolve())
        _write_files(recording, place)
        for name in [name for name in environ if name.startswith(_DECIDING)]:
            del os.environ[name]
        os.environ.update(recording.head["settings"])
        os.environ.update(
            {name: str(recording.head[name.lower()]) for name in ("COLUMNS", "LINES")}
        )
        os.chdir(place.root / recording.head["folder"])
        try:
            yield place
        finally:
            os.chdir(before)
            os.environ.clear()
            os.environ.update(environ)


def _write_files(recording: Recording, place: Place) -> None:
    """Write what the run read; of what it did not read there is the name alone."""
    folder = recording.head["folder"]
    (place.root / folder).mkdir(parents=True, exist_ok=True)
    named = set(recording.head["named"])
    for name in {*recording.head["names"], *recording.files}:
        is_beside = name in named
        path = _keep_inside(place, place.find(name, folder) if is_beside else place.root / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = recording.files.get(name)
        path.write_bytes(decode(kept["content"]) if kept else b"")


def _keep_inside(place: Place, path: Path) -> Path:
    """Return a path of a replay; a recording may come from anybody, and touches nothing else."""
    if not Path(os.path.normpath(path)).is_relative_to(place.folder):
        raise InputError(f"The recording names a file outside: {place.cover(str(path))}.")
    return path


def read_flags(recording: Recording, place: Place) -> tuple[Common, dict[str, Any]]:
    """Return the flags of a recorded run, their files where they are now.

    Raises `InputError` where it was given a file that is no text, or a folder: neither is recorded.
    """
    flags, folder = recording.head["flags"], recording.head["folder"]
    for name in recording.head["folders"]:
        raise InputError(f"The run was given the folder {name}, which is not in the recording.")
    for name, kept in recording.files.items():
        if "base64" in kept["content"]:
            raise InputError(f"The run was given {name}, which is no text and not recorded.")

    def move(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        path = _keep_inside(place, place.find(value, folder))
        return str(path) if value.startswith("/") else value

    common = {key: move(value) for key, value in flags["common"].items() if key != "record"}
    own = {key: move(value) for key, value in flags["own"].items()}
    return Common(**common, record=flags["record"]), own


def open_console(recording: Recording, chosen: Common, out: Mirror, err: Mirror) -> Console:
    """Return a console as the recorded run had it, whose person answers as then."""
    from lib.terminal.console import Console

    stack = chosen.stack_name or f"plot-palette-{chosen.env}"
    return Console(
        out=cast("TextIO", out),
        err=cast("TextIO", err),
        source=cast("TextIO", Replies(None)),
        **recording.head["console"],
        yes=chosen.yes,
        verbose=chosen.debug,
        title=f"inv {recording.head['name']}: {stack}",
        unfold=chosen.all,
    )


@dataclass(frozen=True)
class Rerun:
    """What a replay came to: its streams, its exit code, and what it asked beyond the recording."""

    out: str
    err: str
    code: int
    missing: tuple[str, ...] = ()


def judge(told: Console, recording: Recording, ended: Rerun) -> int:
    """Say what a replay cannot vouch for, and return the exit code that it ends with."""
    for one in ended.missing:
        told.report(Note(f"Not replayed: the recording has no answer to {one}", Level.ERROR))
    if ended.missing:
        told.line(f"  Next: replay it with the checkout that wrote it: {_commit_of(recording)}")
        return Refused.exit_code
    for text in _find_differences(recording.end, ended) if recording.end else ():
        told.report(Note(text, Level.WARNING))
    return ended.code


def _commit_of(recording: Recording) -> str:
    return str(recording.head["commit"] or "an unknown commit")


def _find_differences(end: Mapping[str, Any], ended: Rerun) -> Iterator[str]:
    """Yield in what a replay differs from what was recorded: this checkout decides differently."""
    if ended.code != end["exit_code"]:
        yield f"This checkout ends with exit code {ended.code}; recorded was {end['exit_code']}."
    for name, here in (("out", ended.out), ("err", ended.err)):
        if here == end[name]:
            continue
        pairs = itertools.zip_longest(here.splitlines(), str(end[name]).splitlines(), fillvalue="")
        number, was = next(
            ((at, was) for at, (now, was) in enumerate(pairs, 1) if now != was), (0, "")
        )
        yield f"std{name} differs from line {number} on; recorded was: {was}"


class Mirror:
    """A stream of a replay: it says the recorded machine's paths, and remembers what it said."""

    def __init__(self, stream: TextIO, place: Place) -> None:
        self._stream = stream
        self._place = place
        self._said: list[str] = []

    def __getattr__(self, name: str) -> Any:
        """Return what else the stream has, its encoding for example."""
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Write what the recorded machine wrote."""
        told: str = self._place.cover(text)
        self._said.append(told)
        return self._stream.write(told)

    @property
    def text(self) -> str:
        """Return everything that was written."""
        return "".join(self._said)
