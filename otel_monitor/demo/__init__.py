"""The demo: a small fleet that was written without us, a fault from outside, and the alerts it raises."""
