"""Tests of `edgegw.net.websocket`."""
