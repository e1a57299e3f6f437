"""Shift report from the exports of a manufacturing execution system."""
