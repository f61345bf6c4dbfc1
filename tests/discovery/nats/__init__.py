"""Tests of edgegw.discovery.nats."""
