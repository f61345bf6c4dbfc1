"""Tests of edgegw.discovery.api."""
