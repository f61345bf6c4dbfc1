"""Tests of edgegw.runtime."""
