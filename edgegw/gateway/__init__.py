"""The composition root.

- `settings`: the root settings model, put together from every floor's own.
- `builtins`: everything that ships, and what third parties brought.
- `assembly`: settings to a `Snapshot`; the order of the pipeline is written there, once.
- `upstreams`: clusters from settings, taking over what did not change.
- `snapshot`: routes, pipelines and upstreams of one configuration.
- `entrances`: the listening sockets, compared and swapped on reload.
- `loading`: reading and checking configurations.
- `history`: every configuration that was accepted.
- `service`: start, reload, drain, stop.
- `control`: the control socket; `commands`: what can be asked over it; `messages`: how problems and changes travel.
- `inquiry`: which route takes a request, and other questions to a snapshot.
"""
