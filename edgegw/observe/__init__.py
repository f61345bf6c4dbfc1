"""What happened, recorded. Recording only, without Twisted; `edgegw.export` carries records out of the process.

- `cells`: counters, gauges and histograms that cost an attribute add, in families of bounded size.
- `table`: every metric that exists. `metrics`: the registry of them, and what routes and upstreams count with.
- `process`: CPU, memory, descriptors, garbage collections, loop lag.
- `records`: an ended exchange as an access record. `masking`: what must not get into one. `shapes`: what it reads of an exchange.
- `reference`: the metrics page of the docs.
"""
