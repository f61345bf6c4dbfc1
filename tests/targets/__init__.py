"""Tests of edgegw.targets."""
