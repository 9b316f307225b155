"""A case for each trigger, and what builds the trees that the cases run in."""
