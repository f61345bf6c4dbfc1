"""Running a row: start every entrant, measure them in turn round by round, stop them, check that they did their duties."""

import http.client
import re
import shutil
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from time import sleep

from benchmarks.install import debian_program, output_of
from benchmarks.load import Pace, Target
from benchmarks.measure import Sample
from benchmarks.origin import GRPC_MESSAGE, Origin
from benchmarks.peers.interfaces import Certificate, Setup, Site
from benchmarks.process import Child, Cores, PeerFailed, free_port
from benchmarks.rows import Entrant, Row


@dataclass(frozen=True)
class Ground:
    """What all rows of a run stand on."""

    folder: Path
    origin: Origin
    certificate: Certificate
    cores: Cores
    pace: Pace

    def origin_port(self, setup: Setup) -> int:
        """The port of the origin that a setup wants behind the peer."""
        if setup.websocket:
            return self.origin.echo_port
        return self.origin.grpc_port if setup.grpc else self.origin.port


@dataclass
class Outcome:
    """What became of one entrant of a row; `failure` says why it cannot be compared, or is None."""

    label: str
    samples: list[Sample] = field(default_factory=list)
    failure: str | None = None
    log_lines: int = 0

    def median(self, name: str) -> float:
        """The median of one field of its samples; 0 without samples."""
        return median(getattr(sample, name) for sample in self.samples) if self.samples else 0.0


@dataclass
class RowOutcome:
    """A measured row."""

    row: Row
    outcomes: dict[str, Outcome]

    def ratio(self, of: str, against: str) -> float | None:
        """The median over the rounds of `of` divided by `against`; None when either failed or took no part."""
        pair = self.outcomes.get(of), self.outcomes.get(against)
        if any(outcome is None or outcome.failure or not outcome.samples for outcome in pair):
            return None
        upper, lower = (outcome.samples for outcome in pair if outcome is not None)
        ratios = [one.value / other.value for one, other in zip(upper, lower, strict=False) if other.value > 0]
        return median(ratios) if ratios else None

    def value(self, of: str) -> float | None:
        """The median of `of` in the row's unit; None when it failed or took no part."""
        outcome = self.outcomes.get(of)
        return None if outcome is None or outcome.failure or not outcome.samples else outcome.median("value")


class Contender:
    """An entrant that was started."""

    def __init__(self, entrant: Entrant, ground: Ground) -> None:
        """Start it; raises PeerFailed when it is not installed. `stop` ends it."""
        folder = Path(mkdtemp(prefix="peer-", dir=ground.folder))
        self.entrant = entrant
        self.outcome = Outcome(entrant.label)
        self.site = Site(
            folder, free_port(), free_port(), ground.origin_port(entrant.setup), ground.certificate, entrant.setup
        )
        self._ground = ground
        self._child = Child(entrant.peer.prepare(self.site), ground.cores.proxy, folder)
        self.target = Target(
            self._child.pid, self.site.port, entrant.setup.tls, ground.origin, ground.cores, ground.pace
        )

    def make_ready(self) -> None:
        """Wait until it answers with the origin's own bytes; raises PeerFailed."""
        self._child.wait_until_listening(self.site.port)
        path = self.entrant.probe.path.replace("{}", "0")
        # What the gRPC origin answers over HTTP/2, the other one has as a file.
        origin, setup = self._ground.origin, self.entrant.setup
        wanted = origin.expected_size(path, origin.echo_port if setup.websocket else origin.port)
        for _ in range(50):
            said = fetched(self.site, path)
            if said == (200, wanted):
                return
            sleep(0.1)
        raise PeerFailed(f"answered {said} at {path}, not (200, {wanted}): {self._child.last_words()}")

    def measure(self) -> None:
        """One round; keeps the sample, or the failure."""
        sample = self.entrant.probe(self.target)
        self.outcome.samples.append(sample)
        if sample.errors:
            raise PeerFailed(", ".join(sample.errors))

    def stop(self) -> None:
        """End it and count its access log: a peer that did not log did not do the same work."""
        self._child.end()
        self.outcome.log_lines = self.site.log_lines()
        served = sum(sample.requests for sample in self.outcome.samples)
        if self.outcome.failure is None and self.outcome.log_lines < served * 0.99:
            self.outcome.failure = f"logged {self.outcome.log_lines} lines for {served} requests"
        shutil.rmtree(self.site.folder, ignore_errors=True)


class Lone:
    """An entrant that is a part of edgegw, which its probe runs."""

    def __init__(self, entrant: Entrant, ground: Ground) -> None:
        self.entrant = entrant
        self.outcome = Outcome(entrant.label)
        self.target = Target(0, 0, False, ground.origin, ground.cores, ground.pace)

    def make_ready(self) -> None:
        """There is nothing to wait for."""

    def measure(self) -> None:
        """One round; raises PeerFailed."""
        self.outcome.samples.append(self.entrant.probe(self.target))

    def stop(self) -> None:
        """There is nothing to end."""


def fetched(site: Site, path: str) -> tuple[int, int] | str:
    """(status, body bytes) that a peer answers at `path`, or what went wrong."""
    if site.setup.http2 and not site.setup.tls:
        return fetched_by_nghttp(site, path)
    try:
        connection = http.client.HTTPConnection("localhost", site.port, timeout=5)
        if site.setup.tls:
            context = ssl.create_default_context(cafile=str(site.certificate.cert))
            connection = http.client.HTTPSConnection("localhost", site.port, timeout=5, context=context)
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, len(answer.read())
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"


def fetched_by_nghttp(site: Site, path: str) -> tuple[int, int] | str:
    """The same over HTTP/2 with prior knowledge; a gRPC call if the setup is for those, whose grpc-status has to be 0."""
    options = []
    if site.setup.grpc:
        body = site.folder / "message"
        body.write_bytes(GRPC_MESSAGE)
        options = ["-d", str(body), "-H", "content-type: application/grpc", "-H", "te: trailers"]
    url = f"http://localhost:{site.port}{path}"
    try:
        said = output_of(debian_program("nghttp", "nghttp2-client"), "-v", *options, url)
    except PeerFailed as error:
        return str(error)
    statuses = re.findall(r":status: (\d+)", said)
    if not statuses or (site.setup.grpc and "grpc-status: 0" not in said):
        return said
    return int(statuses[-1]), sum(map(int, re.findall(r"recv DATA frame <length=(\d+)", said)))


def run_row(row: Row, entrants: tuple[Entrant, ...], ground: Ground) -> RowOutcome:
    """Measure a row. An entrant that fails is named in the outcome and does not stop the others."""
    result = RowOutcome(row, {})
    with ExitStack() as stack:
        contenders: list[Contender | Lone] = []
        for entrant in entrants:
            contender: Contender | Lone
            try:
                contender = Lone(entrant, ground) if entrant.setup.alone else Contender(entrant, ground)
            except PeerFailed as error:
                result.outcomes[entrant.label] = Outcome(entrant.label, failure=str(error))
                continue
            stack.callback(contender.stop)
            result.outcomes[entrant.label] = contender.outcome
            contenders.append(contender)
        for contender in contenders:
            _guarded(contender, contender.make_ready)
        for _ in range(row.rounds or ground.pace.rounds):
            for contender in contenders:
                _guarded(contender, contender.measure)
    return result


def _guarded(contender: Contender | Lone, step: Callable[[], None]) -> None:
    if contender.outcome.failure is None:
        try:
            step()
        except PeerFailed as error:
            contender.outcome.failure = str(error)
