"""Rules and the life of the alerts they raise."""
