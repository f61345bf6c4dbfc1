"""What the sources that ask an API by HTTP have in common (`kubernetes/`, `consul/`).

access.py      what a request is made with: place, TLS, token
files.py       files that credentials are in
connection.py  one connection, bounded and always closed
bodies.py      bodies as they arrive: whole, or by lines
client.py      GET requests, each on a connection of its own
deadline.py    work within a time
errors.py      why an answer is of no use, or why there is none
fields.py      reads objects that nobody has checked
rounds.py      one round after the other, whatever becomes of them
backoff.py     how long to wait after errors in a row
"""
