"""Endpoints from Kubernetes: EndpointSlices and Services of the API server, listed and watched.

settings.py     how the API server is reached; what of it is watched
kubeconfig.py   a kubeconfig file as those settings
credentials.py  in a pod, by kubeconfig or by URL and token; read again when a file changes
exec_plan.py    the command that a kubeconfig names for credentials, and what it says
plugin.py       runs it when that is needed
errors.py       what the API server says when it does not give what was asked for
client.py       requests: one JSON answer, or a stream of lines
reflector.py    list and watch of one collection, whatever happens (the semantics of client-go's reflector)
pulse.py        asks while a watch is silent
identity.py     who an object is, and in which version
slices.py       EndpointSlice: addresses, conditions, ports
services.py     Service: ports, ExternalName, annotations
gather.py       both together: the endpoints, and what annotations advise
source.py       the `Source`
"""
