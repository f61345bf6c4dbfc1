"""gRPC-JSON transcoding (https://google.aip.dev/127): HTTP and JSON in front, gRPC behind.

settings     what a route says of it
descriptors  the API, out of a FileDescriptorSet: services, methods, messages
template     the path of a google.api.http rule
rules        the rules of an API, and the one that a request fits
values       JSON and text as fields of a message
requests     path, query and body as a message
frames       messages out of a gRPC body
responses    messages as JSON
streams      bodies of responses: one message, or many as they come
status       how a call ended, as an HTTP status
transcode    the middleware
"""
