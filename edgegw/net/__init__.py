"""Sockets meet codecs.

loop        which event loop runs, and the reactor over it
uvreactor   the same behind `twistd --reactor uvloop`
transport   the loop's own transports, worn by Twisted protocols
consumer    its half that faces producers
sockets     where to listen or connect, listening sockets, addresses
accepting   listening on any reactor, with accepting that can pause
endpoints   connecting on any reactor, and both as Twisted endpoints
addresses   CIDR sets, trusted proxies, which endpoints may be connected to
forwarded   the `Forwarded` field
upstream    sends an exchange on a connection to an endpoint
call        what is sent there, and whom the connection owes an account
resolver    names to addresses, off the reactor's threads
"""
