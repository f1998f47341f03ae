"""What alerts and notifications are kept in, so that they survive the end of a process."""
