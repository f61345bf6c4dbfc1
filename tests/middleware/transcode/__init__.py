"""Tests of edgegw.middleware.transcode. `apis` has the API they share, out of orders.pb (orders.proto says how that is made)."""
