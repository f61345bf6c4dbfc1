"""Endpoints from Consul: the health of one service, asked of an agent by blocking queries.

settings.py   how an agent is reached
access.py     what a request is made with; token and certificates are read again
client.py     one request, its answer bounded and judged
instances.py  the answer's instances as endpoints
loop.py       asks again and again: index and pace
source.py     the `Source`
"""
