"""Network partition: a graph of who reaches whom, and its best cut; `detector` puts them together."""
