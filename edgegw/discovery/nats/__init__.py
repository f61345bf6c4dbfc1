"""Endpoints from NATS: instances that announce themselves, or the entries of a JetStream KV bucket.

instance.py       what is written of an instance, read with suspicion
table.py          instances that must be heard of again and again
announcements.py  the source for `subject`
jetstream.py      an ordered consumer of a stream
bucket.py         the source for `bucket`
source.py         which of them, and its connection
"""
