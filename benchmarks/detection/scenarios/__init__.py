"""What happens to the simulated systems: failures, harmless events, and what is true of each recording."""
