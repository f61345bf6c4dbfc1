"""Side by side with nginx, HAProxy, Envoy, Traefik, Caddy, aiohttp and naive Twisted: `python -m benchmarks [--quick]`.

The nouns, and the file of each:

- row (`rows.py`): one line of the budget: who takes part, what is measured, which ratio is allowed. Add a path here.
- probe (`load.py`, `idle.py`; `balance.py`, which needs no peer): puts load on one running peer and returns a `Sample`
  (`measure.py`).
- peer (`peers/`): a proxy under test: how it is found, its configuration text, its version.
- origin (`origin.py`): the fast server behind every peer. It and the load generator live on one core, the peer on another.
- round (`rounds.py`): every peer of a row once, in turn; a row is a few rounds, and the report takes medians.
- report (`report.py`): Markdown and JSON, verdicts against the budget. Ratios of one run only.

`python -m benchmarks.profile` shows where edgegw spends the CPU that a row found.
"""
