"""A client of NATS on both kinds of loop; it needs no asyncio.

settings.py     servers, login, TLS
login.py        what CONNECT says
connection.py   one connection: greeting, TLS, login, pings
dialing.py      one attempt to have one, within its time
inbox.py        answers to requests
client.py       a connection that comes back, what is subscribed to, requests
sharing.py      one of these for several who want the same
"""
