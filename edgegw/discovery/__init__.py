"""What keeps the endpoints of upstreams current.

interfaces.py  the contract between a source and the feed that it tells
"""
