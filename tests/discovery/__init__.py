"""Tests of edgegw.discovery."""
