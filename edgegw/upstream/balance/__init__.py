"""Which endpoint next. `interfaces` holds the contract; each algorithm is a small file of its own.

- in turn: `round_robin`, which `weighted_round_robin` is, too
- by how busy they are: `least_connections`, `two_choices`
- by how fast they answer: `peak_ewma`, on what `latency` keeps of every endpoint
- by chance: `random`; draws in proportion to shares are made by `shares`
- by a key of the request: `consistent_hash`, on a table of `maglev` or `ring`; `keys` says what may be the key, `rendezvous` is
  for those few that no table helps
- by the code of others: `custom`
"""
