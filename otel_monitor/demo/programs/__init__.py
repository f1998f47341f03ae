"""The programs that the demo observes: an orchestrator and its workers, written as if nothing observed them."""
