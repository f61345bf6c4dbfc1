"""Tests of edgegw.discovery.kubernetes."""
