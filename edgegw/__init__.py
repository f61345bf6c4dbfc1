"""edgegw: a programmable edge gateway in one Twisted process.

The folders are floors; a lower one never imports a higher one, and siblings on a floor do not import each other.

    errors        F1   the one exception the data path throws
    config        F2   text to typed settings
    wire observe  F3   bytes to events; recording. Neither knows Twisted
    runtime       F4   deadlines, supervision, files, the asyncio bridge
    exchange      F5   one request and its answer
    net           F6   sockets meet codecs
    routing middleware upstream export  F7
    targets discovery                   F8
    admin         F9   the operator's door
    gateway       F10  the composition root
    tap cli       F11  the twistd plugin and the command
    testing       F12  what tests use and the product never imports
"""

__version__ = "0.1.0"
