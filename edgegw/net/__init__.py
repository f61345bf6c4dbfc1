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
listener    what one listening socket's connections have in common: caps, terms, drain
settings    its configuration
downstream  drives a codec on one downstream connection, emits exchanges
answering   its half that sends the answers
answer      a response's framing
patience    its deadlines; stall: whether a slow reader takes anything; date: the Date field
http2_upstream  the same in HTTP/2, many at once; http2_upstream_stream: one of them
upstream    sends an exchange on a connection to an endpoint
call        what is sent there, and whom the connection owes an account
resolver    names to addresses, off the reactor's threads
"""
