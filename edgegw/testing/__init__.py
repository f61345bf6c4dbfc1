"""What tests share and product code never imports.

- `feeding`: a codec fed whole, byte by byte, in any pieces, and with bytes behind.
- `exchanges`: an exchange as a responder is called with it; `bodies`: a source that remembers.
- `memory`: a transport in memory, on which a test plays the peer and the kernel.
- `downstream`: a listener and a connection in memory, with a scripted responder: transcripts.
- `origin`: a scripted HTTP/1.1 origin behind connections in memory.
"""
