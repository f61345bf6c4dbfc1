"""Responders that finish an exchange.

split.py     chooses one of several upstreams, by conditions and by weight
mirror.py    lets it pass and sends a copy elsewhere; tee.py notes the body
fallback.py  asks another one, if the first cannot answer
proxy.py     sends it to an upstream; websocket.py ties two WebSockets together
attempts.py  how often, for both of them: course.py and hedging.py say whom to ask next, patience.py how long one may take,
             account.py tells breaker, endpoint and metrics what became of each
to_https.py  answers a plain HTTP listener's requests with the https address
respond.py   a fixed answer
redirect.py  an answer that leads elsewhere
files.py     files of a folder; found in folder.py, asked for in conditions.py and ranges.py, streamed by filebody.py
resource.py  any twisted.web IResource, through a channel in memory: webchannel.py
"""
