"""Tests of edgegw.net.nats."""
