"""What tests share and product code never imports.

- `feeding`: a codec fed whole, byte by byte, in any pieces, and with bytes behind.
- `exchanges`: an exchange as a responder is called with it.
- `origin`: a scripted HTTP/1.1 origin behind connections in memory.
"""
