"""What `twistd --reactor uvloop` and `trial --reactor uvloop` import: a module with `install`."""

from edgegw.net import loop


def install() -> None:
    """Install the reactor over a uvloop loop. Raises `loop.LoopUnavailable` where uvloop is missing."""
    loop.install("uvloop")
