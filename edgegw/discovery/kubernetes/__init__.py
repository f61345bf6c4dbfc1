"""Endpoints from Kubernetes: EndpointSlices and Services of the API server, listed and watched.

settings.py     how the API server is reached; what of it is watched
kubeconfig.py   a kubeconfig file as those settings
credentials.py  in a pod, by kubeconfig or by URL and token; read again when a file changes
errors.py       why the API server's answer is of no use
connection.py   one connection to it, bounded and always closed
client.py       requests: one JSON answer, or a stream of lines
reflector.py    list and watch of one collection, whatever happens (the semantics of client-go's reflector)
pulse.py        asks while a watch is silent
fields.py       reads objects that nobody has checked
slices.py       EndpointSlice: addresses, conditions, ports
services.py     Service: ports, ExternalName, annotations
gather.py       both together: the endpoints
source.py       the `Source`
"""
