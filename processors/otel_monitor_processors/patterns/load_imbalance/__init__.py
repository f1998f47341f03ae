"""Load imbalance: shares of work against what is usual; `detector` puts them together."""
