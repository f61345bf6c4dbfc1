"""The composition root.

- `settings`: the root settings model, put together from every floor's own.
- `references`: checks that need to see all of it; `destinations`: those of where routes lead.
- `builtins`: everything that ships, and what third parties brought; `parts`: a `middleware:` entry becomes a step.
- `assembly`: settings to a `Snapshot`; the order of the pipeline is written there, once; `targets`: what is behind it.
- `upstreams`: clusters from settings, taking over what did not change.
- `snapshot`: routes, pipelines and upstreams of one configuration.
- `entrances`: the listening sockets, compared and swapped on reload; `places`: where they are, and the words for why not.
- `observation`: logs, metrics and probes, likewise; `telemetry`: where exchanges are counted; `logplace`: where the log goes.
- `loading`: reading and checking configurations.
- `history`: every configuration that was accepted.
- `stage`: the next configuration, ready beside the one that serves; `reloading`: one reload after the other.
- `service`: start, reload, drain, stop; `starting`: what a process makes once.
- `control`: the control socket; `commands`: what can be asked over it; `messages`: how problems and changes travel.
- `inquiry`: which route takes a request, and other questions to a snapshot.
"""
