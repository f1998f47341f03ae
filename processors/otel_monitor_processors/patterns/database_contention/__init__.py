"""Database contention: errors, leaps of durations, the server's own metrics; `detector` puts them together."""
