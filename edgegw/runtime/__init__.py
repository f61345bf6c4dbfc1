"""Time and the world outside.

- `wheel`: one coarse timer for every deadline of the data path.
- `supervise`: a periodic service that survives a failing tick.
- `watch`: files that change.
"""
