"""Tests of edgegw.discovery.consul."""
