"""Sockets meet codecs.

loop        which event loop runs, and the reactor over it
uvreactor   the same behind `twistd --reactor uvloop`
transport   the loop's own transports, worn by Twisted protocols
endpoints   listening (with accepting that can pause) and connecting, on any reactor
addresses   CIDR sets, trusted proxies, which endpoints may be connected to
forwarded   the `Forwarded` field
resolver    names to addresses, off the reactor's threads
"""
