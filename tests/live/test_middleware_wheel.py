"""A third-party middleware in a wheel of its own, pip-installed, found by its entry point, checked and run."""

import functools
import shutil
import tempfile
from pathlib import Path

from tests.live.case import LiveCase
from tests.live.process import wait_until
from tests.live.servers import ROOT, Gateway, PythonOrigin, fetch, proxy
from tests.live.test_packaging import installed, run_there
from tests.live.wire import Wire

EXAMPLE = ROOT / "examples" / "third-party-middleware"


@functools.cache
def with_example() -> Path:
    """The bin folder of the environment that has edgegw's wheel and the example's."""
    with tempfile.TemporaryDirectory() as scratch:
        source = shutil.copytree(EXAMPLE, Path(scratch) / "source")
        wheels = Path(scratch) / "wheels"
        done = run_there("python", "-m", "pip", "wheel", "--no-deps", "-qq", "-w", str(wheels), str(source))
        assert done.returncode == 0, done.stderr
        (wheel,) = wheels.glob("*.whl")
        done = run_there("python", "-m", "pip", "install", "--no-deps", "-qq", str(wheel))
        assert done.returncode == 0, done.stderr
    return installed()


class WheelTests(LiveCase):
    """The example of docs/how-to/write-a-middleware.md, in use."""

    def start(self, middleware: str) -> Gateway:
        origin = self.serve(PythonOrigin())
        python = str(with_example() / "python")
        return self.serve(Gateway(proxy(origin.port(), route=f"middleware: {middleware}"), python=python))

    def stamps(self, gateway: Gateway, **headers: str) -> list[str]:
        with Wire(gateway.port()) as wire:
            answer = wire.ask("/echo", **headers)  # type: ignore[arg-type]
        self.assertEqual(answer.status, 200)
        return [value for name, value in answer.headers if name.lower() == "x-stamp"]

    def test_runs(self) -> None:
        """It stamps; listed twice it runs twice, the outer one last; `when:` decides per request."""
        gateway = self.start("[{use: stamp, with: {text: hello}}]")
        self.assertEqual(self.stamps(gateway), ["hello"])
        uses = "{use: stamp, with: {text: outer}}, {use: stamp, with: {text: inner}, when: {header: {X-In: yes}}}"
        text = gateway.config_path.read_text()
        gateway.write(text.replace("{use: stamp, with: {text: hello}}", uses.replace("yes", "'yes'")))
        wait_until(lambda: self.stamps(gateway) == ["outer"], "the new list is in use")
        self.assertEqual(self.stamps(gateway, x_in="yes"), ["inner", "outer"])
        self.assertEqual(self.stamps(gateway, x_in="no"), ["outer"])

    def test_its_settings_are_checked(self) -> None:
        """Its own model refuses wrong keys and its own builder wrong values, each with file, line and column."""
        gateway = self.start("[{use: stamp, with: {text: hello}}]")
        text = gateway.config_path.read_text()
        for wrong, said in (
            (text.replace("text: hello", "txet: hello"), "txet"),
            (text.replace("with: {text: hello}", "with: {}"), "text"),
            (text.replace("text: hello", "text: h\u00e9llo"), "must be ASCII"),
            (text.replace("use: stamp", "use: stomp"), "stamp"),
        ):
            gateway.write(wrong)
            done = run_there("edgegw", "check", str(gateway.config_path))
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertRegex(done.stdout + done.stderr, r"edgegw\.yaml:\d+:\d+: error: ")
            self.assertIn(said, done.stdout + done.stderr)
            self.assertNotIn("Traceback", done.stdout + done.stderr)
        self.assertEqual(self.stamps(gateway), ["hello"])

    def test_not_there_without_its_wheel(self) -> None:
        """The name comes from the entry point: this process's Python has no such wheel, and edgegw knows no stamp."""
        origin = self.serve(PythonOrigin())
        error = self.assertRaises(
            AssertionError,
            self.serve,
            Gateway(proxy(origin.port(), route="middleware: [{use: stamp, with: {text: x}}]")),
        )
        self.assertIn('middleware "stamp" is not known', str(error))

    def test_origin_is_still_asked(self) -> None:
        """It stands around the target, not in its place."""
        gateway = self.start("[{use: stamp, with: {text: hello}}]")
        self.assertIn(b'"target": "/echo"', fetch(gateway.port(), "/echo")[1])
