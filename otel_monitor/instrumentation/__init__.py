"""Instrumentation of users' classes: which functions are operations, and the wrappers that record them."""
