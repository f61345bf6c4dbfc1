"""What tests share and product code never imports.

- `feeding`: a codec fed whole, byte by byte, in any pieces, and with bytes behind.
"""
